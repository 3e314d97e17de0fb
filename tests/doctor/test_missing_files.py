"""The doctor names everything that a run needs and this machine lacks, at once."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from author_files import write_data_set, write_json
from command_line import experiment
from numpy.random import default_rng

from vaa.errors import ConfigError
from vaa.experiment import Experiment, JobContext, JobHistory

OFFLINE = "! it is not on this machine, and HF_HUB_OFFLINE forbids downloading it"


def doctor(folder: Path, caplog: pytest.LogCaptureFixture, *args: str) -> list[str]:
    """The lines of the doctor of a run that does not fit."""
    run: Any = experiment(args)
    assert isinstance(run, Experiment), run
    caplog.set_level(logging.INFO, "vaa")
    with pytest.raises(ConfigError, match="does not fit"):
        run.check(folder / "run")
    return [line for record in caplog.records for line in record.getMessage().splitlines()]


def test_weights_annotations_and_memory_are_named_together(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "ucf").mkdir()
    lines = doctor(tmp_path, caplog, "experiment=urf_ucf_live", f"data.root={tmp_path / 'ucf'}")
    assert lines.count(f"  {OFFLINE}") + lines.count(OFFLINE) == 2  # both models
    text = "\n".join(lines)
    for model in ("DAMO-NLP-SG/VideoLLaMA3-7B", "meta-llama/Llama-3.1-8B-Instruct"):
        assert f" {model}" in text
    assert "! data.index=annotations/test.txt or annotations/anomaly_test.txt: no file under" in text
    assert "! data.spans=annotations/[Tt]emporal*.txt: no file under" in text
    assert "python -m vaa.data.fetch urf" in text
    assert any(line.startswith("verdict ") for line in lines)


def test_labels_and_videos_are_named_together(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lengths = write_data_set(tmp_path / "ucf", default_rng(0), 5)
    (tmp_path / "ucf/videos").mkdir()
    (tmp_path / f"ucf/videos/{next(iter(lengths))}.mp4").touch()
    lines = doctor(tmp_path, caplog, "experiment=corevad_ucf_live", f"data.root={tmp_path / 'ucf'}")
    text = "\n".join(lines)
    assert sum(line.endswith(OFFLINE) for line in lines) == 2
    assert f"! protocol.labels={tmp_path / 'ucf'}/annotations/UCF_Eval.json: no such file" in text
    assert f"! data.videos=videos: 4 of 5 videos have no file under {tmp_path / 'ucf/videos'}, the first" in text
    assert any(line.startswith("time       5 videos") for line in lines)


def test_a_missing_folder_is_one_message(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = doctor(tmp_path, caplog, "experiment=probe_ucf_live", f"data.root={tmp_path / 'nowhere'}")
    assert sum("no such folder" in line for line in lines) == 1


def test_replays_need_no_videos_and_no_labels_are_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lengths = write_data_set(tmp_path / "ucf", default_rng(0), 2)
    write_json(tmp_path / "VLM_responses_x.json", {name: [] for name in lengths})
    args = ("experiment=corevad_ucf_lavad", f"data.root={tmp_path / 'ucf'}", f"vlm.root={tmp_path}")
    run: Any = experiment(args)
    caplog.set_level(logging.INFO, "vaa")
    run.check(tmp_path / "run")
    assert "!" not in "".join(record.getMessage() for record in caplog.records)


def test_a_run_with_a_missing_label_file_ends_before_a_model_is_queried(tmp_path: Path) -> None:
    write_data_set(tmp_path / "ucf", default_rng(0), 2)
    run: Any = experiment(("experiment=corevad_ucf_live", f"data.root={tmp_path / 'ucf'}"))
    with pytest.raises(ConfigError, match=r"protocol\.labels=.*UCF_Eval\.json: no such file"):
        run.run(JobContext(folder=tmp_path / "run", overrides=(), columns={}), JobHistory())
    assert not (tmp_path / "run").exists()
