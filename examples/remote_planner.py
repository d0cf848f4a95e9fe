"""A planner in a process of its own: it asks a server for plans and plays them there.

    motiontok serve --robot g1 &
    python examples/remote_planner.py

The server decodes, solves inverse kinematics and publishes robot states at 50 Hz; this
process only sends codes and reads states.
"""

from __future__ import annotations

import argparse

from motiontok.serve import Client
from motiontok.serve.client import Subscriber


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", default="tcp://127.0.0.1:5557")
    parser.add_argument("--states", default="tcp://127.0.0.1:5558")
    parser.add_argument("--plans", type=int, default=4, help="how many, two seconds each")
    given = parser.parse_args()
    states = Subscriber("walker", given.states)
    with Client(given.address, timeout=120.0) as client:
        print(f"tokenizer {client.info()['fingerprint']}, robot {client.info()['robot']}")
        client.open("walker")
        past = None
        for number in range(given.plans):
            turn = 0.4 if number % 2 else 0.0
            plan = client.plan(
                profile=[[0.0, 1.0, 0.0, turn], [2.0, 1.0, 0.0, turn]],
                samples=4,
                prefix=past,
                seed=number,
            )
            fresh = plan["codes"][0 if past is None else len(past) :]
            # The prior looks at the two windows before the one it writes.
            past = plan["codes"][-2:]
            waiting = client.push("walker", fresh)["queued_seconds"]
            state = states.receive(2.0)
            place = None if state is None else state["root_pos"].round(2)
            print(f"plan {number}: {waiting:.1f} s wait, body at {place}")
        client.end("walker")
    states.close()


if __name__ == "__main__":
    main()
