"""Apply deployments one after the other, and print what was done, for `apply`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from paperspace.gradient.cli._commands import common_options
from paperspace.gradient.cli._errors import code_of, print_error
from paperspace.gradient.cli._exit_codes import ExitCode
from paperspace.gradient.cli._output import data_text, print_change, print_message, printable
from paperspace.gradient.cli._progress import wait_with_progress, warn_if_failed
from paperspace.gradient.cli.deployments import _prune
from paperspace.gradient.cli.deployments._several import watch_several
from paperspace.gradient.errors import APIConnectionError, AuthenticationError, GradientError

if TYPE_CHECKING:
    from paperspace.gradient._spec.files import SpecFile
    from paperspace.gradient.client import Client
    from paperspace.gradient.types import AppliedDeployment, PlannedDeployment

# Errors that every further call would have too.
_FATAL = (APIConnectionError, AuthenticationError)


# What a dry run would do, by the action.
_PLANNED = {
    "created": "would create",
    "updated": "would update",
    "unchanged": "would not change",
    "deleted": "would delete",
}


class NamedSpec(NamedTuple):
    """A spec file, with the name and the project of its deployment."""

    file: SpecFile
    name: str
    project_id: str


class Applier:
    """Applies deployments one after the other, and prints what it does.

    Attributes:
        code: The exit code of the first error.
    """

    def __init__(
        self,
        client: Client,
        cluster_id: str | None,
        output: str | None,
        *,
        dry_run: bool,
        show_secrets: bool,
        as_list: bool,
    ) -> None:
        self.code: int = ExitCode.SUCCESS
        self._client = client
        self._cluster_id = cluster_id
        self._output = output
        self._dry_run = dry_run
        self._show_secrets = show_secrets
        self._as_list = as_list
        self._applied: list[tuple[str, AppliedDeployment | PlannedDeployment]] = []
        self._deleted: list[dict[str, object]] = []

    def apply(self, specs: list[NamedSpec]) -> None:
        """Apply all specs. The error of one is reported, and the others are applied."""
        deployments = self._client.deployments
        for index, named in enumerate(specs):
            try:
                applied = deployments.apply_deployment(
                    named.name,
                    named.project_id,
                    named.file.spec,
                    self._cluster_id,
                    dry_run=self._dry_run,
                    show_secrets=self._show_secrets,
                )
            except GradientError as error:
                if len(specs) == 1:
                    raise
                self._report(named.name, error)
                if isinstance(error, _FATAL):
                    for skipped in specs[index + 1 :]:
                        print_message(f"Not applied: {skipped.name}")
                    return
                continue
            self._applied.append((named.name, applied))
            self._print(named.name, applied)

    def warn(self) -> None:
        """Say which deployments have failed and were left unchanged."""
        for _, applied in self._applied:
            if applied["action"] == "unchanged":
                warn_if_failed(self._client, str(applied["id"]))

    def wait(self, timeout: float) -> None:
        """Wait until all deployments are ready. The error of one is reported, and the others are waited for."""
        names = {str(applied["id"]): name for name, applied in self._applied}
        spec_ids = {str(applied["id"]): applied["specId"] for _, applied in self._applied}
        if self._as_list:
            _, code = watch_several(self._client, names, timeout, spec_ids)
            self.code = self.code or code
            return
        for id_ in names:
            wait_with_progress(self._client, id_, timeout, spec_ids[id_])

    def prune(self, superfluous: dict[str, str]) -> None:
        """Delete these deployments, by id and name, unless there was an error."""
        if superfluous and self.code:
            print_message("Nothing was deleted, as there were errors.")
            return
        applied_ids = {str(applied["id"]).lower() for _, applied in self._applied}
        for id_, name in superfluous.items():
            if id_.lower() in applied_ids:
                continue
            try:
                if not self._dry_run:
                    _prune.delete(self._client, id_)
            except GradientError as error:
                self._report(name, error)
                continue
            self._deleted.append({"name": name, "id": id_, "action": "deleted"})
            if self._output is None:
                self._print_line("deleted", id_, name)

    def print_list(self) -> None:
        """Print everything that was done as one list, if the output is data for several deployments."""
        if self._as_list and self._output in {"json", "yaml"}:
            listed = [*({"name": name, **applied} for name, applied in self._applied), *self._deleted]
            print_change(data_text(listed, self._output))

    def _print(self, name: str, applied: AppliedDeployment | PlannedDeployment) -> None:
        match self._output:
            case "json" | "yaml":
                if not self._as_list:
                    print_change(data_text(applied, self._output))
            case "id":
                if applied["id"]:
                    print_change(applied["id"])
            case _:
                if difference := applied["difference"]["text"]:
                    print_message(f"{name}:\n{difference}" if self._as_list else difference)
                self._print_line(applied["action"], applied["id"], name)

    def _print_line(self, action: str, id_: str | None, name: str) -> None:
        done = f"Dry run: {_PLANNED[action]}" if self._dry_run else action.capitalize()
        result = f"{done} deployment: {id_ or name}"
        if self._as_list and id_:
            result += f" ({printable(name)})"
        print_change(result)

    def _report(self, name: str, error: GradientError) -> None:
        print_message(f"{name}:")
        print_error(error, debug=common_options().debug)
        self.code = self.code or code_of(error)
