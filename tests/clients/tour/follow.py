"""Holds what a first start printed against a Markdown file's second console block, then runs the commands of its third one
and holds what they print against what stands there.

Ages, ports and digests may differ, `…` stands for anything, columns may be wider, and `laptop` is this machine.
"""

import os
import re
import subprocess
import sys

ENVIRONMENT = dict(os.environ)


def steps(block):
    for line in block.splitlines():
        if line.startswith("$ "):
            yield line[2:], (expected := [])
        else:
            expected.append(line)


def pattern(line):
    text = re.escape(re.sub(r"[0-9]+s\b", "~age~", line.replace("laptop", socket_name())))
    text = re.sub(r"(\\ )+", " +", text)
    text = re.sub(r"(127\\.0\\.0\\.1):[0-9]+", r"\1:[0-9]+", text)
    return text.replace("\\~age\\~", "[0-9]+s").replace("~age~", "[0-9]+s").replace("…", ".*") + " *"


def socket_name():
    return os.uname().nodename.lower()


def run(command):
    if command.startswith("export "):
        name, value = command.removeprefix("export ").split("=", 1)
        ENVIRONMENT[name] = value.replace("~", ENVIRONMENT["HOME"])
        return ""
    done = subprocess.run(command, shell=True, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


def check(command, expected, printed):
    if not re.fullmatch("\n".join(pattern(line) for line in expected), printed.rstrip("\n")):
        print(f"$ {command}\n{printed}", "is not what the tour says:", "\n".join(expected), sep="\n")
        sys.exit(1)


blocks = re.findall(r"```console\n(.*?)```", open(sys.argv[1]).read(), re.S)
[(up, first_lines)] = steps(blocks[1])
check(up, [line.replace("/home/you", ENVIRONMENT["HOME"]) for line in first_lines], open(sys.argv[2]).read())
tour = list(steps(blocks[2]))
for command, expected in tour:
    check(command, expected, run(command))
print(f"the first start and {len(tour)} steps of the tour print what they say")
