"""What goes into an original InternVL2 checkpoint: its tokenizer, its chat template, its image processor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaa.errors import VaaError
from vaa.models.checkpoints import layout
from vaa.models.checkpoints.layout import token_id

IMAGE_TOKENS = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
# The original `chat` puts this before every question; a question's own system text takes its place.
_SYSTEM = "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, 是一个有用无害的人工智能助手。"  # noqa: RUF001
_IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def tokenizer(folder: Path, config: Mapping[str, Any]) -> Any:
    """The checkpoint's own vocabulary with the image tokens' names, the chat template of the original code.

    Raises:
        VaaError: the tokenizer cannot be read, has no image tokens, or the chat template's name is not known.
    """
    from transformers import AutoTokenizer, LlamaTokenizer

    settings = layout.settings(folder / "tokenizer_config.json")
    if str(settings.get("tokenizer_class")).startswith("InternLM2"):
        kind, options = LlamaTokenizer, {"add_prefix_space": False}
    else:
        kind, options = AutoTokenizer, {}
    loaded = layout.read_tokenizer(kind, folder, extra_special_tokens=dict(IMAGE_TOKENS), **options)
    if layout.moved(loaded, settings):
        loaded = _placed(loaded, settings)
        if moved := layout.moved(loaded, settings):
            raise VaaError(f"{folder}: {', '.join(moved[:3])} cannot be given the id that tokenizer_config.json says.")
    size = int(config["llm_config"].get("vocab_size", 0))
    missing = [token for token in IMAGE_TOKENS.values() if not 0 <= token_id(loaded, token) < size]
    if missing:
        raise VaaError(f"{folder}: the tokenizer has no {', '.join(missing)}, or not among the model's {size} tokens.")
    template, end = _template(str(config.get("template")))
    begins = loaded.bos_token_id is not None and _begins(loaded, settings)
    loaded.chat_template = ("{{ bos_token }}" if begins else "") + template
    loaded.pad_token = loaded.pad_token or end
    return loaded


def ending(loaded: Any, config: Mapping[str, Any]) -> int:
    """The id of the token that ends an answer: what parts the turns, as in the original `chat`."""
    return token_id(loaded, _template(str(config.get("template")))[1])


def processor(_folder: Path, config: Mapping[str, Any]) -> Any:
    """Images of any size to one square tile each: bicubic, aspect not kept, ImageNet's statistics."""
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    side = int(config.get("force_image_size") or config["vision_config"].get("image_size", 224))
    return GotOcr2ImageProcessorPil(
        size={"height": side, "width": side}, crop_to_patches=False, resample=3, **_IMAGENET
    )


def _begins(loaded: Any, settings: Mapping[str, Any]) -> bool:
    """Whether the original `tokenizer(text)` puts the token that begins a text before it."""
    if str(settings.get("tokenizer_class")).startswith(("InternLM2", "Llama")):
        return bool(settings.get("add_bos_token", True))
    return bool(loaded("")["input_ids"][:1] == [loaded.bos_token_id])


def _template(name: str) -> tuple[str, str]:
    """A Jinja template and the token that ends a turn; unlike in others' ChatML, no newline follows it."""
    known = {
        "internlm2-chat": ("<|im_start|>", "\\n", "<|im_end|>"),
        "Hermes-2": ("<|im_start|>", "\\n", "<|im_end|>"),
        "phi3-chat": ("<|", "|>\\n", "<|end|>"),
    }
    if name not in known:
        raise VaaError(f"template={name} in config.json: known are {', '.join(known)}.")
    before, after, end = known[name]

    def turn(role: str, content: str) -> str:
        return f"{{{{ '{before}' + {role} + '{after}' + {content} + '{end}' }}}}"

    default, said = turn("'system'", f"'{_SYSTEM}'"), turn("message['role']", "message['content']")
    return (
        f"{{% if messages[0]['role'] != 'system' %}}{default}{{% endif %}}"
        f"{{% for message in messages %}}{said}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{{{{ '{before}assistant{after}' }}}}{{% endif %}}"
    ), end


def _placed(loaded: Any, settings: Mapping[str, Any]) -> Any:
    """The same tokenizer, its special tokens in the places of the SentencePiece pieces whose ids they have."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    known = json.loads(loaded.backend_tokenizer.to_str())
    added = {int(key): dict(token) for key, token in settings["added_tokens_decoder"].items()}
    pieces = {number: piece for piece, number in known["model"]["vocab"].items()}
    new = {number: token["content"] for number, token in added.items() if number in pieces}
    gone = {pieces[number] for number in new} - set(new.values())
    known["model"]["vocab"] = {piece: number for number, piece in sorted((pieces | new).items())}
    known["model"]["merges"] = [m for m in known["model"]["merges"] if not gone & {*m, "".join(m)}]
    known["added_tokens"] = [{"id": number, **token} for number, token in sorted(added.items())]
    names = {key: settings[key] for key in ("bos_token", "eos_token", "unk_token", "pad_token") if settings.get(key)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(known)), extra_special_tokens=dict(IMAGE_TOKENS), **names
    )
