"""Other ways to install and to run: the lock file, containers, recipes for CI and for clusters."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.pages import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCS = ROOT / "docs"
RECIPES = DOCS / "recipes"
LAYER_LIBRARIES = {"keras", "tensorflow"}  # what only the layers need

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = SETTINGS["project"]
LOCK = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))


def bash(
    script: str, folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a script in a folder, with the program on the search path."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script, "bash", *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Give a folder with what the recipes read of a clone."""
    shutil.copytree(ROOT / "sample_audio", tmp_path / "sample_audio")
    (tmp_path / "docs").mkdir()
    shutil.copy(DOCS / "sample_features.h5", tmp_path / "docs")
    return tmp_path


# Without Keras


@pytest.mark.parametrize("library", sorted(LAYER_LIBRARIES))
@pytest.mark.parametrize("module", ["kapre_cli", "kapre_cli.time_frequency"])
def test_a_layer_says_what_to_install_without_keras(
    module: str, library: str, tmp_path: Path
) -> None:
    missing = f'raise ModuleNotFoundError("No module named {library!r}", name={library!r})'
    (tmp_path / f"{library}.py").write_text(missing)
    code = f"from {module} import Melspectrogram"
    ended = bash('python -c "$1"', tmp_path, code, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert ended.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: the layers need Keras 3, and the module "
        f"{library!r} is not installed: python -m pip install keras tensorflow"
    )


def test_the_page_installs_all_but_what_only_the_layers_need() -> None:
    page = (DOCS / "install.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^pip install 'av(?:.*\\\n)*.*$", page, re.M)
    shown = {Requirement(one).name: Requirement(one) for one in re.findall(r"'(.*?)'", command)}
    needed = {
        requirement.name: requirement
        for requirement in dependencies("")
        if requirement.name not in LAYER_LIBRARIES
    }
    assert shown.keys() == needed.keys() | {"matplotlib"}
    assert all(shown[name].specifier == needed[name].specifier for name in needed)
    (excluded,) = re.findall(r"^printf '%s\\n' (.*) > excluded.txt$", page, re.M)
    assert set(excluded.split()) == LAYER_LIBRARIES


# The lock file


def dependencies(extra: str) -> list[Requirement]:
    """Return what the project needs; with an extra, what that adds."""
    texts = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    found = []
    for requirement in map(Requirement, texts):
        if requirement.name == PROJECT["name"]:  # one extra that holds another
            found += [one for other in requirement.extras for one in dependencies(other)]
        else:
            requirement.name = canonicalize_name(requirement.name)
            found.append(requirement)
    return found


EXTRAS = ["", *PROJECT["optional-dependencies"]]


def test_the_lock_file_is_that_of_the_project() -> None:
    """``uv sync --locked`` refuses any other; ``uv lock`` makes it."""
    (ours,) = (one for one in LOCK["package"] if one["name"] == PROJECT["name"])
    locked = {
        (one["name"], one.get("specifier", ""), *re.findall("extra == '(.*?)'", one["marker"]))
        if "marker" in one
        else (one["name"], one.get("specifier", ""))
        for one in ours["metadata"]["requires-dist"]
    }
    assert locked == {
        (requirement.name, str(requirement.specifier), *([extra] if extra else []))
        for extra in EXTRAS
        for requirement in dependencies(extra)
    }
    assert LOCK["requires-python"] == PROJECT["requires-python"]


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_lock_file_has_allowed_versions(extra: str) -> None:
    for requirement in dependencies(extra):
        versions = [one["version"] for one in LOCK["package"] if one["name"] == requirement.name]
        assert versions
        assert all(requirement.specifier.contains(version) for version in versions)


def test_the_lock_file_names_public_sources_and_checksums_alone() -> None:
    others = [one for one in LOCK["package"] if one["name"] != PROJECT["name"]]
    assert {one["source"]["registry"] for one in others} == {"https://pypi.org/simple"}
    files = [file for one in others for file in (*one.get("wheels", ()), one.get("sdist")) if file]
    assert len(files) > 1000
    for file in files:
        assert file["url"].startswith("https://files.pythonhosted.org/packages/")
        assert re.fullmatch("sha256:[0-9a-f]{64}", file["hash"])


# Containers


def test_both_images_hold_the_same() -> None:
    build = SETTINGS["tool"]["hatch"]["build"]["targets"]["wheel"]
    read = {"pyproject.toml", "uv.lock", PROJECT["readme"], *PROJECT["license-files"]}
    read |= {*build["packages"], *(str(Path(one).parent) for one in build["shared-data"])}
    installed = []
    for name, pattern in (
        ("Containerfile", r"^COPY ([^-].*) \S+$"),
        ("apptainer.def", r"^ +(\S+) /source/"),
    ):
        text = (ROOT / "packaging" / name).read_text(encoding="utf-8")
        copied = {one for line in re.findall(pattern, text, re.M) for one in line.split()}
        assert read <= copied  # what building the package reads
        assert all((ROOT / one).exists() for one in copied)
        (command,) = re.findall(r"UV_PROJECT_ENVIRONMENT=.* uv sync (?:.*\\\n)*.*", text)
        installed.append([word for word in command.split() if word != "\\"])
    container, apptainer = installed
    assert container[: len(apptainer)] == apptainer
    assert {"--locked", "--extra", "plot"} <= set(apptainer)


# Continuous integration


def commands_of(recipe: str) -> list[str]:
    """Return the commands of a recipe, without those that install."""
    parsed: Any = yaml.safe_load((RECIPES / recipe).read_text(encoding="utf-8"))
    if recipe == "gitlab-ci.yml":
        commands = parsed["features"]["script"]
    else:
        commands = [step["run"] for step in parsed["jobs"]["features"]["steps"] if "run" in step]
    return [command for command in commands if not command.startswith("pip ")]


CI_RECIPES = ["github-actions.yml", "gitlab-ci.yml"]


@pytest.mark.parametrize("recipe", CI_RECIPES)
def test_a_ci_recipe_passes_with_the_stored_output(recipe: str, clone: Path) -> None:
    ended = bash("\n".join(commands_of(recipe)), clone)
    assert ended.returncode == 0, ended.stderr
    assert "6 inputs in both" in ended.stdout
    assert "6 inputs: 6 correct, 0 wrong; 6 recomputed" in ended.stdout


def test_each_check_of_ci_fails_once_a_recording_differs(clone: Path) -> None:
    extract, compare, verify = commands_of("gitlab-ci.yml")
    assert commands_of("github-actions.yml") == [extract, compare, verify]
    assert bash(extract, clone).returncode == 0
    audio, sr = soundfile.read(clone / "sample_audio/vowels.wav", dtype="float32")
    soundfile.write(clone / "sample_audio/vowels.wav", audio[::-1], sr, "FLOAT")
    assert bash(verify, clone).returncode == 1
    assert bash(f"{extract} --overwrite", clone).returncode == 0
    assert bash(compare, clone).returncode == 1


def test_the_stored_output_is_small() -> None:
    assert (DOCS / "sample_features.h5").stat().st_size < 100_000


@pytest.mark.parametrize("recipe", sorted(RECIPES.iterdir()), ids=lambda path: path.name)
def test_a_page_shows_each_recipe_as_it_is(recipe: Path) -> None:
    text = recipe.read_text(encoding="utf-8")
    pages = [page.read_text(encoding="utf-8") for page in (DOCS / "guides").glob("*.md")]
    kind = "bash" if recipe.suffix == ".sh" else "yaml"
    assert any(f"(../recipes/{recipe.name})" in page for page in pages)
    assert any(f"```{kind}\n{text}```\n" in page for page in pages)


# This repository's own checks


def workflow() -> Any:
    return yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))


def test_ci_calls_the_script_that_anybody_can_run() -> None:
    jobs = workflow()["jobs"]
    runs = {
        name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()
    }
    assert runs["tests"][-1] == "bash .ci/run"
    assert runs["lowest-versions"][-1] == "bash .ci/run lowest"
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    (programs,) = re.findall(r"^for program in (.*); do$", script, re.M)
    assert f"--yes {programs}" in runs["tests"][0]


def test_ci_has_few_permissions_and_limits() -> None:
    parsed = workflow()
    assert parsed["permissions"] == {"contents": "read"}
    assert parsed["concurrency"]["cancel-in-progress"]
    for job in parsed["jobs"].values():
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            assert "uses" not in step or re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"])


def test_the_pythons_of_ci_are_those_of_the_classifiers() -> None:
    prefix = "Programming Language :: Python :: "
    versions = [one.removeprefix(prefix) for one in PROJECT["classifiers"] if f"{prefix}3." in one]
    jobs = workflow()["jobs"]
    matrix = jobs["tests"]["strategy"]["matrix"]
    assert matrix["python"] == versions
    assert all(one["may-fail"] for one in matrix["include"])  # others are not promised
    setup = next(one for one in jobs["lowest-versions"]["steps"] if "setup-python" in str(one))
    assert setup["with"]["python-version"] == versions[0]
    assert PROJECT["requires-python"] == f">={versions[0]}"


def test_the_hooks_need_no_other_repository() -> None:
    """Those of the environment are ruff and mypy, which the extra `test` installs."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [one["repo"] for one in config["repos"]] == ["local"]
    (hooks,) = (one["hooks"] for one in config["repos"])
    own = {one["entry"].split()[2] for one in hooks if one["language"] == "system"}
    assert own == {"mypy", "ruff"}
    assert own <= {requirement.name for requirement in dependencies("test")}
    assert all("additional_dependencies" in one for one in hooks if one["language"] == "python")


def test_the_citation_names_this_version() -> None:
    from kapre_cli import __version__

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["license"]


# Clusters


def submitting() -> str:
    """Return the block of the page that submits the scripts."""
    page = (DOCS / "guides/clusters.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```bash\n(.*?sbatch --parsable.*?)^```", page, re.M | re.S)
    return block.rpartition("```bash\n")[2]


# What SLURM does of it: every task of an array, and the job that waits for them.
SBATCH = r"""#!/bin/bash
script=${@: -1}
mkdir -p submitted && echo "$*" >> submitted/arguments
last=$(sed -n 's/^#SBATCH --array=1-//p' "$script")
for i in $(seq "${last:-1}"); do
    log=$(sed -n "s/^#SBATCH --output=//p" "$script")
    { SLURM_ARRAY_TASK_ID=$i bash "$script" || echo "ended with $?" >> submitted/failures
    } > "${log/\%a/$i}" 2>&1 &
done
wait
echo 123
"""


@pytest.fixture
def cluster(clone: Path) -> Path:
    """Give a project's folder, with both scripts and what stands for SLURM and an environment."""
    for script in ("extract.sh", "merge.sh"):
        shutil.copy(RECIPES / script, clone)
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/activate").write_text("export ACTIVATED=1\n")
    (clone / "commands").mkdir()
    (clone / "commands/sbatch").write_text(SBATCH)
    (clone / "commands/sbatch").chmod(0o755)
    return clone


def submit(folder: Path) -> None:
    ended = bash(f"PATH=$PWD/commands:$PATH\n{submitting()}", folder)
    assert ended.returncode == 0, ended.stderr


def test_the_scripts_of_a_cluster_write_what_one_run_writes(cluster: Path) -> None:
    submit(cluster)
    assert not (cluster / "submitted/failures").exists()
    assert len(list((cluster / "logs").glob("extract-*.log"))) == 4
    assert "--dependency=afterany:123 merge.sh" in (cluster / "submitted/arguments").read_text()
    ended = bash("kapre-extract melspectrogram sample_audio -o one.h5", cluster)
    assert ended.returncode == 0, ended.stderr
    merged = (cluster / "all.h5").read_bytes()
    assert merged == (cluster / "one.h5").read_bytes()

    (cluster / "parts/3.h5").unlink()
    ended = bash("bash merge.sh", cluster)
    assert (ended.returncode, "is missing: 3/4" in ended.stderr) == (2, True)
    assert (cluster / "all.h5").read_bytes() == merged


def test_the_scripts_are_submitted_again_after_a_failure(cluster: Path) -> None:
    audio = (cluster / "sample_audio/click.wav").read_bytes()
    (cluster / "sample_audio/click.wav").write_bytes(audio[:-100])
    submit(cluster)
    assert (cluster / "submitted/failures").read_text() == "ended with 1\n"
    assert "4 outputs: 5 arrays" in (cluster / "logs/merge.log").read_text()
    (cluster / "submitted/failures").unlink()
    (cluster / "sample_audio/click.wav").write_bytes(audio)
    submit(cluster)
    assert not (cluster / "submitted/failures").exists()
    assert "4 outputs: 6 arrays" in (cluster / "logs/merge.log").read_text()


def test_a_signal_to_the_batch_script_reaches_the_program(cluster: Path) -> None:
    """``--signal=B:`` is sent to the process of the script: the program has to take its place."""
    (cluster / "commands/kapre-extract").write_text('#!/bin/bash\necho "the program: $$"\n')
    (cluster / "commands/kapre-extract").chmod(0o755)
    (cluster / "parts").mkdir()
    ended = bash(
        "PATH=$PWD/commands:$PATH; echo $$; exec bash extract.sh", cluster, SLURM_ARRAY_TASK_ID="1"
    )
    first, second = ended.stdout.splitlines()
    assert second == f"the program: {first}"
