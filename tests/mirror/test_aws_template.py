"""The template of the Lambda form: accepted by cfn-lint, and it sets what the handler reads."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

AWS = Path(__file__).parents[2] / "scripts" / "aws"
TEMPLATE = AWS / "template.yaml"


def test_cfn_lint_has_nothing_to_say() -> None:
    lint = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([lint, "--non-zero-exit-code", "informational", TEMPLATE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_handler_is_there_and_has_every_setting() -> None:
    text = TEMPLATE.read_text()
    handler = re.search(r"Handler: (\S+)\.(\w+)", text)
    assert handler is not None
    module = importlib.import_module(handler[1])
    assert callable(getattr(module, handler[2]))
    asked = set(re.findall(r'_setting\("(\w+)"', Path(module.__file__ or "").read_text()))
    assert asked == set(re.findall(r"MINTMARK_MIRROR__(\w+):", text))
