"""docs/query-forms.md is what the tables make it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_page_of_query_forms_is_up_to_date() -> None:
    script = Path(__file__).with_name("query_forms.py")
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
