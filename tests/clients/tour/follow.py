"""Runs the commands of a Markdown file's third console block and holds what they print against what stands there.

Ages and digests may differ, `…` stands for anything, columns may be wider, and `laptop` is this machine.
"""

import os
import re
import subprocess
import sys

ENVIRONMENT = dict(os.environ)


def steps(text):
    block = re.findall(r"```console\n(.*?)```", text, re.S)[2]
    for line in block.splitlines():
        if line.startswith("$ "):
            yield line[2:], (expected := [])
        else:
            expected.append(line)


def pattern(line):
    text = re.escape(re.sub(r"[0-9]+s\b", "~age~", line.replace("laptop", socket_name())))
    text = re.sub(r"(\\ )+", " +", text)
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


count = 0
for command, expected in list(steps(open(sys.argv[1]).read())):
    printed = run(command)
    if not re.fullmatch("\n".join(pattern(line) for line in expected), printed.rstrip("\n")):
        print(f"$ {command}\n{printed}", "is not what the tour says:", "\n".join(expected), sep="\n")
        sys.exit(1)
    count += 1
print(f"{count} steps of the tour print what they say")
