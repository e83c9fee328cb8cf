"""Messages over a socket: what arrives, and what is said when the other end goes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from extract.decoder.channel import Channel
from extract.decoder.messages import ItemReady
from extract.types import Item


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = (Channel(end) for end in socket.socketpair())
    yield ours, theirs
    ours.close()
    theirs.close()


def test_arrays_arrive_as_they_were(ends: tuple[Channel, Channel]) -> None:
    """More than a socket holds at once, nothing at all, strided, Fortran's order, text, several of them."""
    ours, theirs = ends
    values = np.arange(3_000_000, dtype=np.float32).reshape(1000, 3000)
    arrays = {
        "large": values,
        "none": values[:0],
        "scalar": np.array(7),
        "strided": values[::3, ::2],
        "fortran": np.asfortranarray(values[:5]),
        "blank": np.broadcast_to(np.uint8(1), (4, 5)),
        "text": np.array(["a", "bc"]),
    }
    message = ItemReady("i3d", Item(0.0, 1.0, arrays, {"scene": 3}))
    sender = threading.Thread(target=theirs.send, args=(message,))
    sender.start()
    received = ours.recv()
    sender.join()
    assert (received.expert, received.item.columns) == ("i3d", {"scene": 3})
    for name, array in arrays.items():
        there = received.item.arrays[name]
        assert (there.dtype, there.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(there, array)
    received.item.arrays["large"][0] = 0  # it is the receiver's own
    assert values[0, 1] == 1


def test_messages_stay_apart_and_can_be_waited_for(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    assert not ours.poll(0)
    theirs.send("first")
    theirs.send(None)
    assert ours.poll(0)
    assert [ours.recv(), ours.recv()] == ["first", None]
    assert not ours.poll(0)


def test_an_end_that_goes_is_noticed(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    theirs.close()
    assert ours.poll(60)
    with pytest.raises(EOFError):
        ours.recv()
    with pytest.raises(OSError, match="Broken pipe"):
        ours.send("more")
    with pytest.raises(OSError, match="this end is closed"):
        theirs.poll(0)


def test_a_sender_that_is_killed_within_a_message_is_noticed() -> None:
    ours, theirs = socket.socketpair()
    code = (
        "import socket, sys, numpy as np\n"
        "from extract.decoder.channel import Channel\n"
        "Channel(socket.socket(fileno=int(sys.argv[1]))).send(np.zeros(50_000_000, np.uint8))\n"
    )
    with theirs:
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(theirs.fileno())], pass_fds=(theirs.fileno(),)
        )
    channel = Channel(ours)
    assert channel.poll(60)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with pytest.raises((EOFError, OSError)):
        channel.recv()
    channel.close()
