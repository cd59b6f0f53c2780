"""The built wheel beside a repository that has packages of the same names as our folders.

The repository's own tests and scripts must run as if wildmiddle were not there, wildmiddle must run
inside of it, and uninstalling must leave nothing behind.
"""

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"wildmiddle": "api"} | {
    f"wildmiddle/{name}": name for name in ("theory", "empirical", "models", "checks")
}

OWN_FILES = {
    "models/__init__.py": "from models.network import Network\n",
    "models/network.py": "class Network:\n    pass\n",
    "checks/__init__.py": "LIMIT = 3\n",
    "theory/__init__.py": "",
    "empirical.py": "DATA = [1, 2]\n",
    "conftest.py": "from checks import LIMIT\n\n\n"
    "def pytest_report_header():\n    return f'own {LIMIT}'\n",
    "tests/test_own.py": "from models import Network\nfrom checks import LIMIT\n\n\n"
    "def test_own():\n    assert Network() and LIMIT == 3\n",
    "script.py": "from models import Network\nfrom wildmiddle.models import EmpiricalDenoiser\n"
    "import wildmiddle\n\nassert wildmiddle.EmpiricalDenoiser is EmpiricalDenoiser\n"
    "print(Network.__module__, EmpiricalDenoiser.__module__)\n",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources."""
    copy = tmp_path_factory.mktemp("sources")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in FOLDERS.values():
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "-w", target, copy], check=True, timeout=300)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with all that wildmiddle needs, and without wildmiddle."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home / "venv", with_pip=True)
    needed = home / "needed"
    needed.mkdir()
    for folder in (path for path in sys.path if path.endswith("site-packages")):
        for entry in Path(folder).iterdir():
            ours = "wildmiddle" in entry.name or entry.suffix == ".pth"
            if not ours and not (needed / entry.name).exists():
                (needed / entry.name).symlink_to(entry)
    (site_of(home / "venv") / "needed.pth").write_text(f"{needed}\n")
    return home / "venv"


def site_of(environment: Path) -> Path:
    variables = {"base": str(environment), "platbase": str(environment)}
    return Path(sysconfig.get_path("purelib", "venv", variables))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name, text in OWN_FILES.items():
        path = tmp_path / "repository" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "repository"


def listing(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


def test_the_wheel_takes_one_name_and_holds_every_file(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0].split("-")[0] for name in packed} == {"wildmiddle"}
    for inside, folder in FOLDERS.items():
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"{inside}/{path.relative_to(ROOT / folder).as_posix()}" in packed


def test_beside_a_repository_with_packages_of_the_same_names(
    wheel: Path, environment: Path, repository: Path
) -> None:
    site = site_of(environment)
    before = listing(site)
    python = str(environment / "bin" / "python")

    def run(*command: str, **variables: str) -> str:
        done = subprocess.run(
            command,
            cwd=repository,
            env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", **variables},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    run(python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", str(wheel))
    own = ("-p", "no:cacheprovider", "tests")
    for start in (["-P", "-m", "pytest"], ["-m", "pytest"]):  # -P: as pytest's own script starts
        told = run(python, *start, *own)
        assert "own 3" in told
        assert "1 passed" in told
    few = ("--claims=4.9", "--claims-samples=1000", *own)
    assert "1 passed" not in run(python, "-m", "pytest", *few)
    assert run(python, "script.py").split() == ["models.network", "wildmiddle.models.denoisers"]
    assert "possible" in run(python, "-m", "wildmiddle", "zone")
    script = str(environment / "bin" / "wildmiddle")
    assert "Theorem 4.8" in run(script, "theory", "4.8", PYTHONPATH=".")
    run(python, "-m", "pip", "uninstall", "-q", "-y", "wildmiddle")
    assert listing(site) == before
    assert not Path(script).exists()
