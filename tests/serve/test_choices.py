"""The choices: engines that are begun when they are wanted, and those that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray

import images
from export.bundle import Bundle
from serve.api import rest
from serve.choices import UNKNOWN, Choices
from serve.queueing import Closed, Refused
from serve.service import Engine, Service, opened


@pytest.fixture(scope="module")
def service(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The tiny bundle with OpenVINO beside ONNX Runtime, and a file that is no model."""
    folder = tmp_path_factory.mktemp("two") / "made"
    folder.mkdir()
    model = (tiny_bundle.path / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(model)
    (folder / "broken.onnx").write_bytes(model[:100])
    manifest = tiny_bundle.manifest.model_dump(exclude={"files"})
    kinds = ("onnxruntime", "fp32", "model"), ("openvino", "fp32", "model")
    manifest["artifacts"] = [
        {"runtime": runtime, "precision": precision, "file": f"{file}.onnx", "built_on": ""}
        for runtime, precision, file in (*kinds, ("onnxruntime", "int8", "broken"))
    ]
    path = Bundle.seal(folder, manifest, folder.parent / "bundle").path
    with opened([str(path)], Engine(threads=1)) as services:
        yield services[0]


def test_an_engine_is_begun_once_when_it_is_wanted(
    service: Service, scene: NDArray[np.uint8]
) -> None:
    pytest.importorskip("openvino")
    with closing(Choices([service])) as choices:
        assert choices.names == ["onnxruntime fp32", "openvino fp32", "onnxruntime int8"]
        assert choices.service("onnxruntime fp32") is service
        begun = choices.service("openvino fp32")
        assert begun is choices.service("openvino fp32")
        assert (begun.owner.facts.runtime, begun.owner.facts.threads) == ("openvino", 1)
        with service.owner.admit() as first, begun.owner.admit() as second:
            found = [service.predictor(place)(scene) for place in (first, second)]
        assert np.array_equal(found[0], found[1])
    assert begun.owner.closed
    assert not service.owner.closed
    with pytest.raises(Closed):
        choices.service("onnxruntime fp32")


def test_what_does_not_start_is_refused_in_a_sentence_and_not_tried_again(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Choices([service])) as choices:
        for _ in range(2):
            with pytest.raises(Refused, match=r"^onnxruntime int8 does not start on this machine"):
                choices.service("onnxruntime int8")
        assert len(caplog.records) == 1
        for name in ("tensorrt fp32", "../etc", None, ["onnxruntime fp32"]):
            with pytest.raises(Refused, match=UNKNOWN):
                choices.service(name)


def test_several_bundles_are_told_apart(service: Service, tiny_service: Service) -> None:
    other = Service("other", tiny_service.bundle, tiny_service.owner)
    with closing(Choices([service, other])) as choices:
        assert choices.names[0] == f"{service.name}: onnxruntime fp32"
        assert choices.service("other: onnxruntime fp32") is other


def test_the_api_answers_on_the_engine_that_is_named(
    service: Service, scene: NDArray[np.uint8], tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    picture = images.encode_png(scene)
    with TestClient(rest([service])) as client:
        assert client.get("/v1/models").json()[0]["engines"][:2] == [
            "onnxruntime fp32",
            "openvino fp32",
        ]
        answers = [
            client.post("/v1/segment", params={"engine": engine}, content=picture)
            for engine in ("onnxruntime fp32", "openvino fp32", "onnxruntime int8", "none")
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 503, 404]
    assert answers[0].content == answers[1].content
