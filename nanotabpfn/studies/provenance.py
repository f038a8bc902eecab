"""What computed a cell: versions of packages, a hash of the code, the commit."""

import hashlib
import platform
import subprocess
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path


@lru_cache
def provenance() -> dict[str, str]:
    """Versions of packages, a hash of the code, and its commit if it is in a repository."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for path in sorted([*root.glob("priors/**/*.py"), *root.glob("nanotabpfn/**/*.py")]):
        digest.update(path.read_bytes())
    found = {name: version(name) for name in ("nanotabpfn-priors", "torch", "schedulefree", "numpy")}
    found |= {"python": platform.python_version(), "machine": platform.platform()}
    found["code"] = digest.hexdigest()[:12]
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, check=False
    )
    if git.returncode == 0:
        found["commit"] = git.stdout.decode().strip()
    return found
