"""Names of devices, working precision, and how points of any form become rows."""

import math

import numpy as np
import pytest
import torch

from wildmiddle.empirical.kernels.device import as_rows, resolve_device, working_dtype

CPU = torch.device("cpu")


def test_devices_by_name_and_by_object() -> None:
    assert resolve_device("cpu") == CPU
    assert resolve_device(CPU) == CPU
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda", 0), "mps"])
def test_an_absent_device_is_refused(monkeypatch, device) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match=f"device = {device} is not available"):
        resolve_device(device)
    assert resolve_device("auto") == CPU


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ValueError, match="device = abacus is unknown"):
        resolve_device("abacus")


def test_working_precision_is_double_but_on_mps() -> None:
    assert working_dtype(CPU) == torch.float64
    assert working_dtype(torch.device("cuda")) == torch.float64
    assert working_dtype(torch.device("mps")) == torch.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f4", ">i2", np.uint8, np.int64])
def test_points_of_any_type_become_rows_in_double(dtype) -> None:
    images = np.arange(24).reshape(3, 2, 4).astype(dtype)
    native = images.astype(images.dtype.newbyteorder("="))
    for points in (images, torch.as_tensor(native), images.tolist()):
        rows = as_rows(points, CPU)
        assert rows.dtype == torch.float64
        np.testing.assert_array_equal(rows.numpy(), images.reshape(3, 8))


def test_views_and_read_only_arrays_become_rows() -> None:
    images = np.arange(24.0).reshape(3, 2, 4)
    backwards = images[::-1, :, ::-2]
    locked = np.broadcast_to(images[0], (3, 2, 4))
    for points in (backwards, locked):
        rows = as_rows(points, CPU)
        np.testing.assert_array_equal(rows.numpy(), points.reshape(3, -1))


def test_points_that_are_all_zero_or_at_the_ends_become_rows() -> None:
    for largest in (0.0, 1e-14, 1e14):
        assert as_rows(np.array([[0.0, -largest], [0.0, 0.0]]), CPU).abs().max() == largest


def test_no_gradient_flows_to_the_points() -> None:
    assert not as_rows(torch.ones(2, 3, requires_grad=True), CPU).requires_grad


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros(4), r"shape \(4,\)"),
        (np.zeros((0, 4)), r"shape \(0, 4\)"),
        (1.0, r"shape \(\)"),
        ([[0.0, math.nan]], "NaN or infinite"),
        (torch.tensor([[math.inf]]), "NaN or infinite"),
        (np.ones((2, 3)) + 1j, "type complex128; give real numbers"),
        (torch.ones(2, 3) + 1j, "type torch.complex64; give real numbers"),
        ([["a", "b"]], "type <U1; give real numbers"),
        (np.array([[0.0, -1e15], [0.0, 1.0]]), r"reach 1e\+15, whose squares .* another unit"),
        (torch.full((2000, 3), 1e-20), r"reach 1e-20, whose squares .* another unit"),
    ],
)
def test_what_is_no_set_of_points_is_refused(points, message) -> None:
    with pytest.raises(ValueError, match=message):
        as_rows(points, CPU)
