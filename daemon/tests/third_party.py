"""A watcher that shares no code with Pulseboard: Python's websockets, following the contract only.

Subscribes to one room, keeps the aggregate by merge patches and the history by columns and
corrections, and prints after every frame one JSON line: {"tick", "aggregate", "history"}.
Arguments: URL, room. Goes on until it is killed.
"""

import asyncio
import json
import sys

import websockets


def merge_patch(target, patch):
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = merge_patch(target.get(key), value)
    return target


def overwrite(history, columns):
    for at, tick in enumerate(columns["tick"]):
        history[tick] = [columns[name][at] for name in ("events", "activeUsers", "errors", "p95")]


async def watch(url, room):
    history, aggregate = {}, None
    async with websockets.connect(url, subprotocols=["pulseboard.v1"]) as socket:
        assert socket.subprotocol == "pulseboard.v1"
        await socket.send(json.dumps({"op": "subscribe", "rooms": [room]}))
        while True:
            frame = json.loads(await socket.recv())
            if frame["op"] == "snapshot":
                aggregate = frame["aggregate"]
                overwrite(history, frame["history"])
            elif frame["op"] == "delta":
                assert frame["base"] == frame["tick"] - 1 == aggregate["tick"], frame
                aggregate = merge_patch(aggregate, frame["aggregate"])
                now = [aggregate["events"], aggregate["activeUsers"], aggregate["errors"],
                       aggregate.get("latencyMs", {}).get("p95")]
                history[frame["tick"]] = now
            else:
                assert frame["op"] == "welcome", frame
                continue
            if "corrections" in frame:
                overwrite(history, frame["corrections"])
            line = {"tick": frame["tick"], "aggregate": aggregate, "history": history}
            print(json.dumps(line), flush=True)


asyncio.run(watch(sys.argv[1], sys.argv[2]))
