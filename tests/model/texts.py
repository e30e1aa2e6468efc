"""Sentences on which encoders are compared: what breaks tokenizers, padding and batching."""

TEXTS = [
    "The cat sleeps on the warm roof.",
    "",
    "   leading and trailing white space \t\n",
    "🙂 emoji 👩‍👩‍👧 and 🇹🇷 flags",
    "Cafe\u0301 man\u0303ana U\u0308ber",  # NFD
    "Café mañana Über",
    "القطة sleeps في 猫 屋根 Çocuk",
    "word after word " * 200,
    "猫" * 300,
    "The cat sleeps on the warm roof.",
    "\u200b\u200d\ufeff",
    "UPPER CASE İstanbul straße ΣΊΣΥΦΟΣ",
    "[CLS] [SEP] <s> </s> [MASK] [PAD]",
    "1,234.56 €/m² ½ – “quoted” …",
    "ไม่มีช่องว่าง",
    "a",
]
