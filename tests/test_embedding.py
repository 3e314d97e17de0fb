"""Each frame is embedded once for all windows, stages and runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from cpu_models import cpu_encoder

from vaa import embedding
from vaa.cache import AnswerCache
from vaa.engines.base import LocalEngine
from vaa.models.base import Encoder, Model
from vaa.models.transformers.encoder import ClipEncoder
from vaa.pipeline import RunResult, analyse
from vaa.stages import embeddings
from vaa.stages.base import SEGMENT, Scope
from vaa.stages.window import ConsecutiveWindow
from vaa.types import Answer, EmbedQuery, Floats, FramesQuery, NoAnswer, Query, Report, ScoreTrack, Video


@dataclass(frozen=True)
class Norms:
    """Scores each segment by its vector's length."""

    scope: ClassVar[Scope] = SEGMENT

    model: Encoder

    def queries(self, report: Report) -> tuple[EmbedQuery, ...]:
        return embeddings.segment_queries(report)

    def absorb(self, report: Report, answers: Sequence[Floats]) -> Report:
        lengths = np.linalg.norm(np.asarray(answers, dtype=np.float64), axis=1)
        return replace(report, track=ScoreTrack(lengths, np.array([s.at for s in report.segments])))


@dataclass
class CountingEngine:
    """Runs models in this process and collects the frames that they embed; interrupted after `stop` answers."""

    frames: list[int] = field(default_factory=list)
    stop: int | None = None

    def answer(self, model: Model, queries: Sequence[Query]) -> Iterator[Answer | NoAnswer]:
        assert all(isinstance(query, FramesQuery) for query in queries)
        for k, answer in enumerate(LocalEngine().answer(model, queries)):
            if k == self.stop:
                raise KeyboardInterrupt
            self.frames += queries[k].frames
            yield answer

    def release(self, model: Model) -> None:
        """Keep the weights for the next run."""


@pytest.fixture
def encoder(clip_checkpoint: Path) -> ClipEncoder:
    return cpu_encoder(clip_checkpoint)


@pytest.fixture
def cache(tmp_path: Path) -> AnswerCache:
    return AnswerCache(str(tmp_path / "answers.sqlite"))


def run(
    model: Encoder, cache: AnswerCache, *paths: Path, length: int = 8, engine: CountingEngine | None = None
) -> tuple[RunResult, list[int]]:
    engine = engine or CountingEngine()
    videos = [Video(path.stem, path, 25, 10.0) for path in paths]
    stages = {"window": ConsecutiveWindow(length=length, n_frames=2), "norms": Norms(model)}
    return analyse(videos, {}, stages, engine, cache), engine.frames


def scores(result: RunResult, video: str = "clip") -> np.ndarray:
    track = result.reports[video].track
    assert track is not None
    return track.values


def expected(model: ClipEncoder, path: Path, length: int) -> list[float]:
    video = Video("clip", path, 25, 10.0)
    segments = [tuple(range(start, min(25, start + length))) for start in range(0, 25, length)]
    vectors = model.embed([EmbedQuery(video=video, at=0, frames=frames) for frames in segments])
    return [float(np.linalg.norm(vector)) for vector in vectors if not isinstance(vector, NoAnswer)]


@pytest.mark.parametrize("shared", [True, False])
def test_other_windows_embed_no_frame_again_and_give_the_means_of_the_frames(
    encoder: ClipEncoder, clip: Path, cache: AnswerCache, shared: bool
) -> None:
    for k, length in enumerate((8, 5, 25, 8)):
        own = AnswerCache(cache.path) if shared else AnswerCache(None)
        result, frames = run(encoder, own, clip, length=length)
        assert frames == ([] if k and shared else list(range(25)))
        np.testing.assert_allclose(scores(result), expected(encoder, clip, length), atol=1e-6)
        n = len(result.reports["clip"].segments)
        assert (result.stats[-1].n_queries, result.stats[-1].n_cached) == ((0, n) if k and shared else (n, 0))


def test_a_stride_uses_vectors_of_all_frames_and_embeds_only_those_it_needs(
    encoder: ClipEncoder, clip: Path, cache: AnswerCache
) -> None:
    thin = replace(encoder, stride=3)
    result, frames = run(thin, cache, clip, length=7)
    assert frames == [0, 3, 6, 7, 10, 13, 14, 17, 20, 21, 24]
    np.testing.assert_allclose(scores(result), expected(thin, clip, 7), atol=1e-6)
    _, rest = run(encoder, cache, clip)
    assert sorted(frames + rest) == list(range(25))


def test_another_encoder_and_another_content_are_embedded(
    encoder: ClipEncoder, clip: Path, cache: AnswerCache, tmp_path: Path
) -> None:
    run(encoder, cache, clip)
    copy = Path(tmp_path / "copy.mp4")
    copy.write_bytes(clip.read_bytes())
    assert run(encoder, cache, copy)[1] == []
    assert len(run(replace(encoder, mean=[0.4] * 3), cache, clip)[1]) == 25
    clip.write_bytes(clip.read_bytes() + b"0")
    assert len(run(encoder, cache, clip)[1]) == 25


def test_a_run_that_was_interrupted_continues_where_it_ended(
    encoder: ClipEncoder, clip: Path, cache: AnswerCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "_BLOCK", 6)
    with pytest.raises(KeyboardInterrupt):
        run(encoder, cache, clip, engine=CountingEngine(stop=2))
    result, frames = run(encoder, cache, clip)
    assert frames == list(range(12, 25))
    assert result.stats[-1].n_queries == 3  # the first segment was complete
    np.testing.assert_allclose(scores(result), expected(encoder, clip, 8), atol=1e-6)


def test_a_video_that_cannot_be_decoded_or_is_missing_fails_alone(
    encoder: ClipEncoder, clip: Path, cache: AnswerCache, tmp_path: Path
) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    result, _ = run(encoder, cache, tmp_path / "bad.mp4", tmp_path / "gone.mp4", clip)
    assert {failure.video for failure in result.failures} == {"bad", "gone"}
    np.testing.assert_allclose(scores(result), expected(encoder, clip, 8), atol=1e-6)


def test_a_damaged_vector_is_computed_again(encoder: ClipEncoder, clip: Path, cache: AnswerCache) -> None:
    before, _ = run(encoder, cache, clip)
    (file,) = Path(str(cache.path)).with_suffix(".frames").iterdir()
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    again, frames = run(encoder, cache, clip)
    assert frames == [24]
    np.testing.assert_allclose(scores(again), scores(before), atol=1e-6)
