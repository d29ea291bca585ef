"""Speech from prompts: numbers, dates, times and money by the rules of a language, as the names of recorded words."""

from voipat.speech.language import LANGUAGES, Language
from voipat.speech.prompt_set import SHIPPED, PromptSet, Said
from voipat.speech.values import Clock, Date, Digits, Duration, Letters, Money, Number, Spoken

__all__ = [
    "LANGUAGES",
    "SHIPPED",
    "Clock",
    "Date",
    "Digits",
    "Duration",
    "Language",
    "Letters",
    "Money",
    "Number",
    "PromptSet",
    "Said",
    "Spoken",
]
