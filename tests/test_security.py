"""Data is never executed: answers, checkpoints, annotations, names; keys are written nowhere (SECURITY.md).

tests/report/test_browser*.py check that a script tag in a caption does nothing in the page.
"""

from __future__ import annotations

import ast
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vaa.errors import ModelError
from vaa.models.checkpoints import shards
from vaa.models.checkpoints.files import check_shard_index
from vaa.models.transformers import loading
from vaa.types import file_name

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "models"))
from fake_server import FakeServer, error  # noqa: E402

FILES = {f.relative_to(ROOT).as_posix(): f for f in [ROOT / "run.py", *sorted((ROOT / "vaa").rglob("*.py"))]}
KEY = "sk-canary-9f8e7d6c5b4a39281706"
EVALUATING = {"eval", "exec", "compile", "__import__", "breakpoint"}
RUNNING = {"os.system", "os.popen", "os.execv", "os.spawnv", "subprocess.getoutput", "subprocess.getstatusoutput"}
UNPICKLING = {"pickle.load", "pickle.loads", "marshal.loads", "shelve.open", "joblib.load", "dill.loads"}
UNSAFE_LOADERS = {"yaml.load", "yaml.unsafe_load", "yaml.full_load", "jinja2.Template"}


def calls(file: Path) -> Iterator[tuple[str, dict[str, ast.expr]]]:
    """Each call's dotted name and its keyword arguments."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}


def _loads_any(name: str) -> bool:
    """Whether transformers would run a checkpoint's own code, or ask at the terminal whether to."""
    return name.endswith(".from_pretrained") and name.lower().startswith("auto")


def dangers(file: Path) -> list[str]:
    """Calls that would execute, evaluate or unpickle data."""
    dangerous = []
    for name, keywords in calls(file):
        args = {key: ast.unparse(value) for key, value in keywords.items()}
        dangerous += [name] * (name in EVALUATING | RUNNING | UNPICKLING | UNSAFE_LOADERS)
        dangerous += [f"{name}(shell)"] * (args.get("shell", "False") != "False")
        dangerous += [f"{name}(trust_remote_code)"] * (args.get("trust_remote_code", "False") != "False")
        dangerous += [f"{name}(trust_remote_code)"] * (_loads_any(name) and "trust_remote_code" not in args)
        dangerous += [f"{name}(allow_pickle)"] * (name.endswith("np.load") and args.get("allow_pickle") != "False")
        dangerous += [f"{name}(weights_only)"] * (name == "torch.load" and args.get("weights_only") != "True")
        dangerous += [f"{name}(autoescape)"] * (name.endswith("Environment") and args.get("autoescape") != "True")
    return dangerous


@pytest.mark.parametrize("name", FILES)
def test_no_file_executes_evaluates_or_unpickles_data(name: str) -> None:
    own = name.startswith("vaa/tiny/")  # it loads only what it has just written
    assert [danger for danger in dangers(FILES[name]) if not (own and "trust_remote_code" in danger)] == []


@pytest.mark.parametrize(
    "code",
    ["eval(x)", "pickle.load(f)", "yaml.load(f)", "os.system(x)", "subprocess.run(x, shell=True)", "torch.load(x)",
     "np.load(x)", "AutoModel.from_pretrained(x, trust_remote_code=True)",
     "AutoConfig.from_pretrained(x)", "auto.from_pretrained(x)", "Environment(loader=x)"],
)  # fmt: skip
def test_the_scan_detects_dangerous_calls(tmp_path: Path, code: str) -> None:
    (tmp_path / "bad.py").write_text(code)
    assert len(dangers(tmp_path / "bad.py")) == 1


class HarmfulPickle:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("harmed",)


def test_code_in_pickled_weights_is_refused(
    clip_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModel

    folder = tmp_path / "bin"
    shutil.copytree(clip_checkpoint, folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(HarmfulPickle(), protocol=2))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"bin' .* cannot be loaded by AutoModel: .* hold code"):
        loading.load(AutoModel, str(folder), None)
    assert not Path("harmed").exists()


def test_code_in_a_checkpoint_is_not_run(
    clip_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModel

    folder = tmp_path / "coded"
    shutil.copytree(clip_checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text("import os\nos.mkdir('harmed')\nclass Config: pass\nclass Model: pass\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="cannot be loaded"):
        loading.load(AutoModel, str(folder), None)
    assert not Path("harmed").exists()


@pytest.mark.parametrize("override", ["vlm.trust_remote_code=true", "+vlm.trust_remote_code=true"])
def test_no_setting_enables_a_checkpoints_own_code(tmp_path: Path, override: str) -> None:
    assert not [file for file in (ROOT / "conf").rglob("*.yaml") if "trust_remote_code" in file.read_text()]
    result = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), override, "wandb.mode=disabled", "hydra.run.dir=out"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode in (1, 2), result.stdout  # refused by Hydra or by vaa
    assert "trust_remote_code" in result.stdout + result.stderr
    assert not (tmp_path / "out/metrics.json").exists()


@pytest.mark.parametrize("shard", ["../other.safetensors", "/etc/other.safetensors", "a/b.safetensors", "..", 3])
def test_an_index_of_weights_names_files_in_its_folder_only(tmp_path: Path, shard: Any) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(ModelError, match="outside its folder"):
        check_shard_index(tmp_path)
    with pytest.raises(ModelError, match="outside its folder"):
        list(shards._tensors(tmp_path))


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/x", "..", ".", "a/../b", "a\\b", "C:\\x", "x\0y", "日本/語", "-rf", "~"]
)
def test_a_video_name_becomes_one_file_in_the_runs_folder(tmp_path: Path, name: str) -> None:
    file = tmp_path / "scores" / file_name(name)
    assert file.resolve().parent == tmp_path / "scores"
    assert len({file_name(name), file_name(name.replace("/", "_"))}) == 1 + ("/" in name)


@pytest.mark.parametrize("refusal", [500, 401])
def test_a_key_is_written_nowhere_even_if_the_server_repeats_it(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "clips").mkdir()
    shutil.copy(clip, tmp_path / "clips")
    server = FakeServer()
    server.script = lambda body, before: error(refusal, f"bad key {KEY}")
    try:
        result = subprocess.run(
            [sys.executable, str(ROOT / "run.py"), "method=plain", "vlm=server", f"vlm.base_url={server.url}",
             "vlm.model=fake", "vlm.api_key_env=CANARY_KEY", "vlm.retries=0", "data=folder", "data.root=clips",
             "cache=answers.sqlite", "hydra.verbose=true", "hydra.run.dir=out"],
            cwd=tmp_path, env=os.environ | {"WANDB_MODE": "offline", "CANARY_KEY": KEY}, capture_output=True, text=True,
        )  # fmt: skip
    finally:
        server.close()
    assert result.returncode, result.stdout + result.stderr
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(file.name == "run.log" for file in files)
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
    assert KEY not in result.stdout + result.stderr
