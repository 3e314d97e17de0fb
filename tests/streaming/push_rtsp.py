"""`python push_rtsp.py FILE ADDRESS`: send a video to an RTSP server, with retries until there is one."""

from __future__ import annotations

import sys
import time

import av


def push(file: str, address: str) -> None:
    with av.open(file) as source, av.open(address, "w", format="rtsp", options={"rtsp_transport": "tcp"}) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)


for _ in range(200):
    try:
        push(*sys.argv[1:])
    except OSError:
        time.sleep(0.1)
    else:
        break
