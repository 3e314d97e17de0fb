"""A byte-level BPE tokenizer, trained on the prompts and the answers."""

from __future__ import annotations

from typing import Any

from vaa.synthetic.canvas import SIDE
from vaa.synthetic.events import EVENT_CLASSES, EVERYWHERE
from vaa.synthetic.script import ReferenceAnswer
from vaa.tiny import corpus, definitions, paraphrases
from vaa.tiny.prompts import load_prompts

VOCABULARY = 1792
PAD, END, SYSTEM, USER, ASSISTANT = "<pad>", "<end>", "<system>", "<user>", "<assistant>"
IMAGE = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
TEMPLATE = (
    "{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
_CHUNK = r" ?\d+| ?[A-Za-z]+( [A-Za-z]+)*| ?[^A-Za-z\d\s]+|\s+"
"""Tokens can span words but not lines, numbers or punctuation: long lines of prompts take few tokens, and an answer
starts with the same token whatever follows."""


def answers() -> list[str]:
    """Every sentence and tag that the tiny VLM can answer with."""
    references = [
        ReferenceAnswer(event_class=event_class, place=place, night=night)
        for event_class in (None, *EVENT_CLASSES.values())
        for place in (event_class.places if event_class else EVERYWHERE)
        for night in (False, True)
    ]
    tags = {tag for reference in references for tag in reference.tags}
    return sorted({a.sentence for a in references} | {a.description for a in references} | tags)


def _corpus() -> list[str]:
    prompts = [f"{prompt.system}\n{prompt.text}" for prompt in load_prompts().values()]
    defined = definitions.wordings()
    words = sorted({word for text in prompts + answers() + defined for word in text.split()})
    texts = [variant for word in words for variant in (word, " " + word)] * 400
    texts += prompts * 60 + paraphrases.sentences() * 8
    texts += [variant for wording in defined for variant in (f" {wording}?", f" {wording}.")] * 30
    numbers = {*range(21), *(corpus.thousandths(pixel) for pixel in range(SIDE + 1))}
    texts += [variant for n in sorted(numbers) for variant in (str(n), f" {n}")] * 400
    return (
        texts
        + [
            "```\n",
            '[{"',
            '":',
            "],",
            "}]",
            "[]",
            '["',
            '"]',
            "Frame",
            "Anomalous scenes",
            "Normal scenes",
            "Yes",
            "No",
        ]
        * 400
    )


def build(ends_with: str = "") -> Any:
    """The tokenizer as Hugging Face's class; `ends_with`: a special token appended to every text (CLIP pools there)."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CHUNK), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    special = [PAD, END, SYSTEM, USER, ASSISTANT, *IMAGE.values()]
    bpe.train_from_iterator(_corpus(), trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, max_token_length=40, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))  # fmt: skip
    if ends_with:
        bpe.post_processor = processors.TemplateProcessing(
            single=f"$A {ends_with}", special_tokens=[(ends_with, bpe.token_to_id(ends_with))]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token=PAD, eos_token=END, extra_special_tokens=dict(IMAGE),
        additional_special_tokens=[SYSTEM, USER, ASSISTANT], model_max_length=8192)  # fmt: skip
    tokenizer.chat_template = TEMPLATE
    return tokenizer
