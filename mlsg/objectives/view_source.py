"""Which views a training gets: stored or computed as it goes, and what is done to them after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlsg.errors import SettingError
from mlsg.objectives.interface import TrainingContext
from mlsg.objectives.stored_views import bytes_of, stored_views
from mlsg.objectives.view_statistics import fit_moments, sif_weights, whitening
from mlsg.objectives.views import GuideViews, TransformedViews, ViewSource, WholeViews

if TYPE_CHECKING:
    from mlsg.model.backbone import Backbone
    from mlsg.objectives.self_guided import Settings


def view_source(settings: Settings, ground: TrainingContext, guide: Backbone) -> ViewSource:
    """The views of `ground.text` that `settings` ask for. Raises SettingError for a layer that the base does not have.

    Whether they are stored depends on the settings and the size of the text alone, so that a training is the same
    whatever ran before it.
    """
    last = ground.base.layers
    if any(layer > last for layer in settings.layers):
        raise SettingError(f"objective.layers is {list(settings.layers)}", f"the base has layers 0 to {last}")
    layers = list(settings.layers) or list(range(last + 1))
    weights = None
    if settings.view_weighting == "sif":
        weights = sif_weights(ground.text.token_counts(ground.base.model.config.vocab_size)).to(ground.device)
    precision = ground.precision if settings.view_precision == "train" else settings.view_precision
    ready = guide.for_training() if settings.guide_dropout else guide.for_measuring(precision)
    whole = GuideViews(ready, ground.text, list(range(last + 1)), settings.view_pooling, precision, weights)
    views: WholeViews = whole.of_layers(layers)
    fits = bytes_of(whole) <= settings.view_cache_gb * 1e9
    if ground.origin is not None and fits and not settings.guide_dropout:
        told = {"pooling": settings.view_pooling, "weighting": settings.view_weighting, "precision": precision}
        views = stored_views(whole, ground.origin, told, layers)
    return views if settings.view_transform == "none" else _transformed(views, settings, ground)


def _transformed(views: WholeViews, settings: Settings, ground: TrainingContext) -> TransformedViews:
    means, covariances = fit_moments(views.everything())
    maps = whitening(covariances, settings.view_shrinkage).float() if settings.view_transform == "whiten" else None
    return TransformedViews(views, means.float().to(ground.device), None if maps is None else maps.to(ground.device))
