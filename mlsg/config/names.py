"""Names of settings: which one is meant by its own name alone, by another library's name, or by an earlier one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from mlsg.errors import SettingError, nearest

_SAME_MEANING: Mapping[str, str] = {
    "train.model": "model_name model_name_or_path base base_model pretrained",
    "train.epochs": "num_train_epochs num_epochs n_epochs",
    "train.max_steps": "steps num_steps total_steps",
    "train.batch_size": "bs batch per_device_train_batch_size per_device_batch_size train_batch_size",
    "train.mini_batch_size": "chunk chunk_size gradient_accumulation_steps",
    "train.learning_rate": "lr max_lr rate",
    "train.warmup_ratio": "warmup warmup_steps warmup_proportion",
    "train.adam_betas": "betas beta1 beta2 adam_beta1 adam_beta2",
    "train.adam_epsilon": "epsilon eps adam_eps",
    "train.weight_decay": "wd decay",
    "train.max_grad_norm": "clip grad_clip gradient_clip clip_norm max_norm",
    "train.max_length": "max_seq_length max_seq_len max_len model_max_length",
    "train.train_embeddings": "freeze_embeddings freeze_embedding",
    "train.dev": "dev_set eval_set",
    "train.eval_steps": "dev_every eval_every evaluation_steps",
    "train.keep": "load_best_model_at_end save_best_model",
    "train.patience": "early_stopping_patience early_stopping",
    "train.precision": "fp16 bf16 amp dtype torch_dtype",
    "train.seed": "random_seed data_seed",
    "objective.temperature": "tau temp scale",
    "objective.reg_weight": "lambda lambda_ lam regulariser regularizer regularisation regularization reg l2 l2_sp",
    "objective.view_cache_gb": "view_limit view_memory",
    "objective.head_width": "projection_dim proj_dim",
    "encoder.pooling": "pooling_mode pool pooler",
    "eval.resamples": "n_resamples bootstrap n_bootstrap",
}
"""Setting -> what others, and mlsg before, call the same or what decides the same."""

_MEANT = {word: name for name, words in _SAME_MEANING.items() for word in words.split()}


def suggestion(word: str, known: Iterable[str], elsewhere: Mapping[str, Collection[str]] | None = None) -> str:
    """The remedy for an unknown setting: the known one that means the same, is elsewhere, or is spelt alike.

    `known` are the names of the section in question, `elsewhere` those of other sections.
    """
    known = list(known)
    meant = _MEANT.get(word.lower(), "")
    meant = meant or next((f"{section}.{word}" for section, names in (elsewhere or {}).items() if word in names), "")
    own = meant.partition(".")[2]
    return f'did you mean "{own if own in known else meant}"?' if meant else nearest(word, known)


def full_name(given: str, sections: Mapping[str, Collection[str]]) -> str:
    """`train__seed`, `train.seed` or, where only one of the sections has it, `seed` -> `train.seed`.

    `sections` maps each section to the names of its settings. Raises SettingError for an unknown or ambiguous name.
    """
    section, dot, name = given.replace("__", ".", 1).partition(".")
    if not dot:
        found = [section for section, names in sections.items() if given in names]
        if len(found) > 1:
            raise SettingError(f'"{given}" is a setting of {", ".join(found)}', f"name one: {found[0]}__{given}")
        if not found:
            everything = {name for names in sections.values() for name in names}
            raise SettingError(f'unknown setting "{given}"', suggestion(given, everything))
        return f"{found[0]}.{given}"
    if section not in sections:
        raise SettingError(f'unknown section "{section}" in "{given}"', nearest(section, sections))
    if name not in sections[section]:
        others = {key: names for key, names in sections.items() if key != section}
        raise SettingError(f'unknown key "{name}" in [{section}]', suggestion(name, sections[section], others))
    return f"{section}.{name}"
