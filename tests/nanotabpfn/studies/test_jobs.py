"""Jobs: how they are marked, and what happens when one kills its worker."""

import lost_workers
import pytest
from small_study import prior, study_of

from nanotabpfn.studies import jobs
from nanotabpfn.studies.folder import begun_path
from priors.generation.engines import WorkerLostError, run_tasks


def test_a_job_that_kills_its_worker_has_failed_and_the_others_are_done(tmp_path):
    (tmp_path / "locks").mkdir()
    names = ["a", "deadly", "b", "c", "deadly too", "d"]
    todo = [jobs.Job("cell", f"cell {name}", name, None) for name in names]

    def run(some):  # processes that import little, and so start soon
        tasks = [(str(begun_path(tmp_path, job.key)), job.label) for job in some]
        for label in run_tasks(lost_workers.work, tasks, num_workers=2):
            yield jobs.Outcome(label, None)

    errors = {outcome.label: outcome.error for outcome in jobs.run_jobs(todo, tmp_path, run)}
    assert set(errors) == {job.label for job in todo}
    failed = {label for label, error in errors.items() if error}
    assert failed == {"cell deadly", "cell deadly too"}
    assert "killed, or ran out of memory" in errors["cell deadly"]
    assert sorted(path.stem for path in (tmp_path / "errors").iterdir()) == ["deadly", "deadly too"]
    assert not list((tmp_path / "locks").iterdir())


def test_cells_wait_for_the_warm_starts_and_for_nothing_else(tmp_path):
    def groups_of(*kinds):
        groups = []

        def run(some):
            groups.append([job.kind for job in some])
            yield from (jobs.Outcome(job.label, None) for job in some)

        todo = [jobs.Job(kind, f"{kind} {number}", str(number), None) for number, kind in enumerate(kinds)]
        assert len(list(jobs.run_jobs(todo, tmp_path, run))) == len(kinds)
        return groups

    (tmp_path / "locks").mkdir()
    assert groups_of("baseline", "cell", "measurement") == [["baseline", "cell", "measurement"]]
    assert groups_of("warm start", "baseline", "cell", "measurement") == [
        ["warm start", "baseline", "measurement"],
        ["cell"],
    ]


@pytest.mark.parametrize("error", [None, ValueError("no")])
def test_a_job_is_marked_while_it_is_under_way(tmp_path, error):
    seen = []

    def work(folder, study, device):
        seen.append(begun_path(folder, job.key).exists())
        if error is not None:
            raise error

    job = jobs.Job("cell", "one", "key", work)
    outcome = jobs.run_job(tmp_path, study_of({"a": prior()}), job, 1, "cpu")
    assert seen == [True]
    assert (outcome.error is None) == (error is None)
    assert not begun_path(tmp_path, job.key).exists()


def test_a_worker_lost_before_any_job_stops_the_study(tmp_path):
    todo = [jobs.Job("cell", name, name, None) for name in ("one", "two")]
    (tmp_path / "locks").mkdir()
    begun_path(tmp_path, "one").touch()  # of a study that was killed

    def run(some):
        raise WorkerLostError("lost")
        yield

    with pytest.raises(WorkerLostError):
        list(jobs.run_jobs(todo, tmp_path, run))
