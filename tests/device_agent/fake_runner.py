"""A runner for fake phones: speaks the protocol, and does what a program's content tells it.

It runs as a script of its own on the fake phone, so it imports nothing of ours.
"""

import json
import os
import signal
import struct
import sys
import time

ROOT = os.environ["PHONE_ROOT"]
NS = 5_000_000
RUNS = 10
CPUS: list[int] = []  # that it was bound to


def say(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def time_program(content: str, job: dict[str, str]) -> None:
    match content:
        case "crash":
            sys.stderr.write("last words\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        case "silent":
            time.sleep(60)
        case "cut":
            sys.stdout.write('{"samples_ns": [1, 2')
            sys.stdout.flush()
            sys.exit(3)
        case "full":
            message = "writing the output failed: No space left on device"
            say({"error": "run_failed", "message": message})
        case "slow":
            say({"alive": True})
            time.sleep(1.5)
            answer(job)
        case "moved once":
            moved = not os.path.exists(ROOT + "/moved")
            open(ROOT + "/moved", "w").close()
            answer(job, cpus=[0, 1] if moved else CPUS)
        case "moved":
            answer(job, cpus=[0, 1, 2, 3])
        case "damaged":
            say({"error": "load_failed", "message": "not a program"})
        case _:
            answer(job)


def answer(job: dict[str, str], cpus: list[int] | None = None) -> None:
    with open(ROOT + job["output"], "wb") as output:
        output.write(struct.pack("<8f", *range(8)))
    say(
        {
            "samples_ns": [NS] * RUNS,
            "probes_ns": [54_000] * (RUNS + 1),
            "first_run_ns": NS,
            "load_ns": 1,
            "cpus": CPUS if cpus is None else cpus,
            "delegates": ["XnnpackBackend"],
            "events": [],
        }
    )


def main() -> None:
    arguments = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    with open(ROOT + "/arguments", "a") as log:
        log.write(json.dumps(arguments) + "\n")
    threads = int(arguments["--threads"])
    CPUS.extend(int(cpu) for cpu in arguments.get("--cpus", "").split(",") if cpu)
    say({"ready": True, "runner": "native", "threads": threads, "clock_step_ns": 20})
    for line in sys.stdin:
        job = dict(pair.split("=", 1) for pair in line.rstrip("\n").split("\t"))
        open(ROOT + "/at-work", "w").close()
        with open(ROOT + job["program"]) as program:
            time_program(program.read(), job)


if __name__ == "__main__":
    main()
