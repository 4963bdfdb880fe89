# SPDX-License-Identifier: Apache-2.0
"""What verl's plugin entry does to a process: nothing before a registry is imported, then everything, or a loud
error."""

import importlib
import json
import os
import subprocess
import sys

import pytest

from klear_verl import plugin
from klear_verl.errors import EnvironmentProblem


def report_of(code, **environment):
    """Runs `code` in a fresh interpreter; returns what it left in `report`."""
    script = f"import json, sys\nreport = {{}}\n{code}\nprint('REPORT' + json.dumps(report))"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VERL_", "RAY_"))}
    done = subprocess.run(
        [sys.executable, "-c", script], env={**kept, **environment}, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.split("REPORT")[1])


@pytest.fixture(scope="module")
def stock_process():
    return report_of("""
import verl
report["after_import_verl"] = sorted(name for name in sys.modules if name.startswith("klear_verl"))
import verl.trainer.ppo.core_algos as core_algos
report["losses"] = sorted(core_algos.POLICY_LOSS_REGISTRY)
report["after_core_algos"] = sorted(name for name in sys.modules if name.startswith("klear_verl"))
report["loader"] = [type(core_algos.__loader__).__name__, type(core_algos.__spec__.loader).__name__]
from verl.plugin.platform import platform_manager
report["platforms"] = sorted(platform_manager.PlatformRegistry._platforms)
""")


@pytest.fixture(scope="module")
def cpu_process():
    return report_of(
        """
from klear_verl import plugin
plugin.verify()
report["verified"] = True
from verl.plugin.platform import get_platform
from verl.workers.engine.base import EngineRegistry
import verl.workers.engine.fsdp.transformer_impl
report["device"] = get_platform().device_name
report["engines"] = {
    f"{kind}/{backend}": EngineRegistry.get_engine_cls(kind, backend).__name__
    for kind in ("language_model", "value_model") for backend in ("fsdp", "fsdp2")
}
import verl.trainer.ppo.core_algos as core_algos
del core_algos.POLICY_LOSS_REGISTRY["gppo"]
try:
    plugin.verify()
except Exception as error:  # of what class it is, the test asserts
    report["missing"] = [type(error).__name__, str(error)]
""",
        VERL_PLATFORM="cpu",
    )


def test_importing_verl_imports_no_room_of_ours(stock_process):
    rooms = ("algorithm", "reward", "trainer", "judge", "cpu", "evaluation", "report", "quickstart")
    loaded = {name.split(".")[1] for name in stock_process["after_import_verl"] if "." in name}
    assert "plugin" in loaded
    assert not loaded & set(rooms)


def test_importing_verls_losses_registers_gppo(stock_process):
    assert "gppo" in stock_process["losses"]


def test_importing_verls_losses_imports_only_the_algorithm(stock_process):
    new = set(stock_process["after_core_algos"]) - set(stock_process["after_import_verl"])
    assert {name.split(".")[1] for name in new} <= {"algorithm", "strict"}


def test_a_hooked_module_looks_as_if_imported_without_us(stock_process):
    assert stock_process["loader"] == ["SourceFileLoader", "SourceFileLoader"]


def test_without_the_cpu_platform_asked_for_verl_keeps_its_own(stock_process):
    assert "cpu" not in stock_process["platforms"]


def test_on_the_cpu_platform_every_name_is_registered(cpu_process):
    assert cpu_process["verified"]


def test_on_the_cpu_platform_verls_device_is_the_cpu(cpu_process):
    assert cpu_process["device"] == "cpu"


def test_on_the_cpu_platform_both_models_have_engines_for_both_fsdps(cpu_process):
    assert cpu_process["engines"] == {
        "language_model/fsdp": "CpuFSDPEngineWithLMHead",
        "language_model/fsdp2": "CpuFSDPEngineWithLMHead",
        "value_model/fsdp": "CpuFSDPEngineWithValueHead",
        "value_model/fsdp2": "CpuFSDPEngineWithValueHead",
    }


def test_verify_names_what_is_missing_and_the_remedy(cpu_process):
    kind, message = cpu_process["missing"]
    assert kind == "EnvironmentProblem"
    assert "policy loss 'gppo' is not registered" in message
    assert "reinstall klear-verl" in message


def test_a_broken_registration_raises_out_of_verls_import_with_its_cause():
    report = report_of("""
import verl
sys.modules["klear_verl.algorithm.gppo"] = None  # what an import of it then raises: ImportError
try:
    import verl.trainer.ppo.core_algos
except Exception as error:  # of what class it is, the test asserts
    report["error"] = [type(error).__name__, str(error), type(error.__cause__).__name__]
report["half_imported"] = "verl.trainer.ppo.core_algos" in sys.modules
""")
    kind, message, cause = report["error"]
    assert kind == "EnvironmentProblem"
    assert "klear_verl.algorithm.gppo with verl.trainer.ppo.core_algos" in message
    assert "klear doctor" in message
    assert cause == "ModuleNotFoundError"
    assert not report["half_imported"]


@pytest.fixture
def hooked(tmp_path, monkeypatch):
    """Two throw-away modules: a registry, and what is to be registered with it; returns the function that hooks
    them."""
    (tmp_path / "some_registry.py").write_text("known = []\n")
    (tmp_path / "ours_good.py").write_text(
        "import some_registry\nsome_registry.known.append('module')\n"
        "def also():\n    some_registry.known.append('function')\n"
    )
    (tmp_path / "ours_bad.py").write_text("raise ZeroDivisionError('in our module')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))

    def hook(target):
        sys.meta_path.insert(0, plugin._RegisteringFinder({"some_registry": target}))

    yield hook
    for name in ("some_registry", "ours_good", "ours_bad"):
        sys.modules.pop(name, None)


def test_a_target_module_is_imported_right_after_the_registry(hooked):
    hooked("ours_good")
    assert importlib.import_module("some_registry").known == ["module"]


def test_a_target_function_is_called_once(hooked):
    hooked("ours_good:also")
    assert importlib.import_module("some_registry").known == ["module", "function"]
    assert importlib.import_module("some_registry").known == ["module", "function"]


def test_a_failing_target_keeps_its_own_error_as_the_cause(hooked):
    hooked("ours_bad")
    with pytest.raises(EnvironmentProblem, match="ZeroDivisionError: in our module") as caught:
        importlib.import_module("some_registry")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_failed_registration_fails_again_on_the_next_import(hooked):
    hooked("ours_bad")
    for _ in range(2):
        with pytest.raises(EnvironmentProblem):
            importlib.import_module("some_registry")


def test_installing_twice_hooks_once():
    plugin.install()
    plugin.install()
    assert sum(isinstance(finder, plugin._RegisteringFinder) for finder in sys.meta_path) == 1


def test_every_hooked_module_and_every_target_exists():
    targets = plugin.EVERYWHERE | plugin.CPU_ONLY
    for module in [*targets, *(target.partition(":")[0] for target in targets.values())]:
        parent, _, name = module.rpartition(".")
        path = importlib.util.find_spec(parent.split(".")[0]).submodule_search_locations
        for part in parent.split(".")[1:]:
            path = importlib.machinery.PathFinder.find_spec(part, path).submodule_search_locations
        assert importlib.machinery.PathFinder.find_spec(name, path), module
