from __future__ import annotations

import os
import shutil
from pathlib import Path

import debian_wordnet
import pytest
from beartype import BeartypeConf
from beartype.claw import beartype_package
from making import make_clip, make_tokenizer

from vaa import process

# Every call inside vaa is checked against its annotations; an int is a float there, as it is for mypy.
# Except the class that Ray rebuilds: Ray fails on the method that beartype adds to every class.
SKIPPED = ("vaa.engines.worker",)
beartype_package("vaa", conf=BeartypeConf(is_pep484_tower=True, claw_skip_package_names=SKIPPED))

process.configure()
ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
# Before anything imports the libraries that read them.
os.environ |= {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline", "TOKENIZERS_PARALLELISM": "false"}


@pytest.fixture(scope="session", autouse=True)
def _wandb_in_tmp(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("wandb")
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        os.environ[name] = str(folder)


@pytest.fixture(scope="session", autouse=True)
def _wordnet(tmp_path_factory: pytest.TempPathFactory) -> None:
    """WordNet for nltk, here and in the processes that tests start: a copy of Debian's if nltk has none."""
    import nltk

    try:
        nltk.data.find("corpora/wordnet.zip")
    except LookupError:
        if debian_wordnet.available():
            folder = tmp_path_factory.mktemp("nltk_data")
            debian_wordnet.convert(folder)
            nltk.data.path.insert(0, str(folder))
            os.environ["NLTK_DATA"] = str(folder)


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(
            f"{SHARED} is not there. It holds what the authors released: clone their public repositories "
            "(CoReVAD, URF, VERA, VADTree) and lay the files out as recorded/{corevad,urf,vera,vadtree}, and clips as "
            "videos/."
        )
    return SHARED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.shared)


@pytest.fixture(scope="session")
def _clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 25)


@pytest.fixture
def clip(_clip: Path, tmp_path: Path) -> Path:
    """A copy of a clip of 25 frames at 10 a second, 96x64, for this test alone."""
    return Path(shutil.copy(_clip, tmp_path / "clip.mp4"))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def internvl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A native InternVL checkpoint of random weights: 32x32 tiles, 4 tokens each; bitsandbytes wants 64 columns."""
    import torch
    from transformers import InternVLConfig, InternVLForConditionalGeneration, InternVLVisionConfig, Qwen2Config
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    folder, tokenizer = tmp_path_factory.mktemp("internvl"), make_tokenizer()
    torch.manual_seed(0)
    model = InternVLForConditionalGeneration(
        InternVLConfig(
            vision_config=InternVLVisionConfig(
                hidden_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=64,
                image_size=[32, 32],
                patch_size=[8, 8],
            ),
            text_config=Qwen2Config(
                vocab_size=len(tokenizer),
                hidden_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=2,
                intermediate_size=64,
                max_position_embeddings=512,
                initializer_range=0.3,  # large, so that the answer depends on the frames
                bos_token_id=None,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            ),
            image_token_id=tokenizer.context_image_token_id,
            image_seq_length=4,
        )
    )
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    GotOcr2ImageProcessorPil(
        size={"height": 32, "width": 32}, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def clip_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP checkpoint of random weights: 32x32 images, 77 text tokens."""
    import torch
    from transformers import CLIPConfig, CLIPModel

    folder, tokenizer = tmp_path_factory.mktemp("clip"), make_tokenizer(end_of_text=True)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    torch.manual_seed(0)
    CLIPModel(
        CLIPConfig(
            text_config={**sizes, **ids, "vocab_size": len(tokenizer), "max_position_embeddings": 77},
            vision_config={**sizes, "image_size": 32, "patch_size": 8},
            projection_dim=16,
        )
    ).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
