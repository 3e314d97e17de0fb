"""Nothing that a model, a checkpoint, an annotation or a name says is run; keys stay where they are (SECURITY.md).

What a caption with a script tag does in the page is shown in tests/report/test_browser*.py: nothing.
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

from vaa.errors import VaaError
from vaa.models.checkpoints import shards
from vaa.models.checkpoints.files import check_shard_index
from vaa.models.transformers import loading
from vaa.types import file_name

HOUSE = Path(__file__).parents[1]
sys.path.append(str(HOUSE / "tests" / "models"))
from fake_server import FakeServer, error  # noqa: E402

FILES = {f.relative_to(HOUSE).as_posix(): f for f in [HOUSE / "run.py", *sorted((HOUSE / "vaa").rglob("*.py"))]}
KEY = "sk-canary-9f8e7d6c5b4a39281706"
EVALUATED = {"eval", "exec", "compile", "__import__", "breakpoint"}
RUN = {"os.system", "os.popen", "os.execv", "os.spawnv", "subprocess.getoutput", "subprocess.getstatusoutput"}
UNPICKLED = {"pickle.load", "pickle.loads", "marshal.loads", "shelve.open", "joblib.load", "dill.loads"}
LOADED = {"yaml.load", "yaml.unsafe_load", "yaml.full_load", "jinja2.Template"}


def calls(file: Path) -> Iterator[tuple[str, dict[str, ast.expr]]]:
    """Each call's dotted name and its keyword arguments."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: word.value for word in node.keywords if word.arg}


def _loads_any(name: str) -> bool:
    """Whether transformers would take, or ask at the terminal whether to take, a checkpoint's own code."""
    return name.endswith(".from_pretrained") and name.lower().startswith("auto")


def dangers(file: Path) -> list[str]:
    """Calls that would run, evaluate or unpickle what data says."""
    found = []
    for name, words in calls(file):
        said = {key: ast.unparse(value) for key, value in words.items()}
        found += [name] * (name in EVALUATED | RUN | UNPICKLED | LOADED)
        found += [f"{name}(shell)"] * (said.get("shell", "False") != "False")
        found += [f"{name}(trust_remote_code)"] * (said.get("trust_remote_code", "False") != "False")
        found += [f"{name}(trust_remote_code)"] * (_loads_any(name) and "trust_remote_code" not in said)
        found += [f"{name}(allow_pickle)"] * (name.endswith("np.load") and said.get("allow_pickle") != "False")
        found += [f"{name}(weights_only)"] * (name == "torch.load" and said.get("weights_only") != "True")
        found += [f"{name}(autoescape)"] * (name.endswith("Environment") and said.get("autoescape") != "True")
    return found


@pytest.mark.parametrize("name", FILES)
def test_no_file_evaluates_runs_or_unpickles_what_data_says(name: str) -> None:
    own = name.startswith("vaa/tiny/")  # it reads what it has just written
    assert [danger for danger in dangers(FILES[name]) if not (own and "trust_remote_code" in danger)] == []


@pytest.mark.parametrize(
    "line",
    ["eval(x)", "pickle.load(f)", "yaml.load(f)", "os.system(x)", "subprocess.run(x, shell=True)", "torch.load(x)",
     "np.load(x)", "AutoModel.from_pretrained(x, trust_remote_code=True)",
     "AutoConfig.from_pretrained(x)", "auto.from_pretrained(x)", "Environment(loader=x)"],
)  # fmt: skip
def test_the_scan_sees_what_it_is_to_see(tmp_path: Path, line: str) -> None:
    (tmp_path / "bad.py").write_text(line)
    assert len(dangers(tmp_path / "bad.py")) == 1


class Harm:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("harmed",)


def test_weights_that_are_a_pickle_are_refused_unread(
    clip_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModel

    folder = tmp_path / "bin"
    shutil.copytree(clip_checkpoint, folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Harm()))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VaaError, match=r"bin'.*\n.*read from \.safetensors files only"):
        loading.load(AutoModel, str(folder), None)
    assert not Path("harmed").exists()


def test_code_that_lies_in_a_checkpoint_is_not_run(
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
    with pytest.raises(VaaError, match="cannot be loaded"):
        loading.load(AutoModel, str(folder), None)
    assert not Path("harmed").exists()


@pytest.mark.parametrize("override", ["vlm.trust_remote_code=true", "+vlm.trust_remote_code=true"])
def test_there_is_no_switch_for_a_checkpoints_own_code(tmp_path: Path, override: str) -> None:
    assert not [file for file in (HOUSE / "conf").rglob("*.yaml") if "trust_remote_code" in file.read_text()]
    done = subprocess.run(
        [sys.executable, str(HOUSE / "run.py"), override, "wandb.mode=disabled", "hydra.run.dir=out"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout
    assert "trust_remote_code" in done.stdout + done.stderr
    assert not (tmp_path / "out/metrics.json").exists()


@pytest.mark.parametrize("shard", ["../other.safetensors", "/etc/other.safetensors", "a/b.safetensors", "..", 3])
def test_an_index_of_weights_names_files_beside_it_only(tmp_path: Path, shard: Any) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(VaaError, match="outside its folder"):
        check_shard_index(tmp_path)
    with pytest.raises(VaaError, match="outside its folder"):
        list(shards._tensors(tmp_path))


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/x", "..", ".", "a/../b", "a\\b", "C:\\x", "x\0y", "日本/語", "-rf", "~"]
)
def test_a_name_is_one_file_in_the_runs_folder(tmp_path: Path, name: str) -> None:
    made = tmp_path / "scores" / file_name(name)
    assert made.resolve().parent == tmp_path / "scores"
    assert len({file_name(name), file_name(name.replace("/", "_"))}) == 1 + ("/" in name)


@pytest.mark.parametrize("refusal", [500, 401])
def test_a_key_is_nowhere_even_where_the_server_repeats_it(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "clips").mkdir()
    shutil.copy(clip, tmp_path / "clips")
    server = FakeServer()
    server.script = lambda body, before: error(refusal, f"bad key {KEY}")
    try:
        done = subprocess.run(
            [sys.executable, str(HOUSE / "run.py"), "method=plain", "vlm=server", f"vlm.base_url={server.url}",
             "vlm.model=fake", "vlm.api_key_env=CANARY_KEY", "vlm.retries=0", "data=folder", "data.root=clips",
             "cache=memo.sqlite", "hydra.verbose=true", "hydra.run.dir=out"],
            cwd=tmp_path, env=os.environ | {"WANDB_MODE": "offline", "CANARY_KEY": KEY}, capture_output=True, text=True,
        )  # fmt: skip
    finally:
        server.close()
    assert done.returncode, done.stdout + done.stderr
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(file.name == "run.log" for file in files)
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
    assert KEY not in done.stdout + done.stderr
