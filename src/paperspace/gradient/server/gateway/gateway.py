"""The gateway of the controller, as an Envoy process."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

from paperspace.gradient._shared.daemon_threads import in_daemon_thread
from paperspace.gradient.server.controller.gateway import (
    GatewayState,
    GatewayUnavailableError,
    Routes,
    Statistics,
)
from paperspace.gradient.server.controller.host_lock import TOUCH_INTERVAL
from paperspace.gradient.server.gateway.address import endpoint_url, free_port, ip_address
from paperspace.gradient.server.gateway.admin import AdminError
from paperspace.gradient.server.gateway.binary import find_envoy
from paperspace.gradient.server.gateway.changes import FILES, Changes, read_routing
from paperspace.gradient.server.gateway.envoy import Envoy, stop_envoy
from paperspace.gradient.server.gateway.files import Files
from paperspace.gradient.server.gateway.folder import RUNNER, locked_folder, remove_folder
from paperspace.gradient.server.gateway.inspection import problem_of
from paperspace.gradient.server.gateway.listener import listeners, read_address, read_socket, read_tls
from paperspace.gradient.server.gateway.resources import BOOTSTRAP, CLUSTERS, LISTENERS, ROUTES, SECRETS, clusters
from paperspace.gradient.server.gateway.route_configuration import read_domain
from paperspace.gradient.server.gateway.secrets import Secrets
from paperspace.gradient.server.gateway.statistics import Counting
from paperspace.gradient.server.gateway.supervisor import Supervisor
from paperspace.gradient.server.gateway.unsent import has_unsent
from paperspace.gradient.server.tasks import cancel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

    from paperspace.gradient.server.controller.gateway import Target
    from paperspace.gradient.server.gateway.options import Options
    from paperspace.gradient.server.gateway.process import Process
    from paperspace.gradient.server.protection import Access

_log = logging.getLogger(__name__)

_APPLY_TIMEOUT = 10.0  # seconds until a change has to be in effect
_APPLY_INTERVAL = 0.01  # seconds between two looks at what is in effect
_IDLE_LOOKS = 2  # without an active request, until an instance or the gateway counts as drained
_DRAIN_INTERVAL = 0.05  # seconds between two looks at the active requests
_MAINTENANCE_INTERVAL = 2.0  # seconds between two looks at the certificate and the log


class EnvoyGateway:
    """Sends the requests of endpoints to instances, through an Envoy process that outlives the server.

    It implements `controller.gateway.Gateway`. All methods belong to one event loop; those about routes need `open`.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._folder = options.folder.absolute()
        self._port = options.port
        self._secrets: Secrets | None = None
        self._counting = Counting()
        self._callback: Callable[[], None] = lambda: None
        self._stack = AsyncExitStack()
        self._envoy: Envoy
        self._supervisor: Supervisor
        self._changes: Changes

    def call_on_change(self, callback: Callable[[], None]) -> None:
        """Call a function whenever the problem of the routes changes, in place of the function before."""
        self._callback = callback

    async def open(self) -> None:
        """Start Envoy, or connect to the one that runs. After an error, it can be called again.

        Raises:
            GatewayUnavailableError: it cannot be started.
        """
        async with AsyncExitStack() as stack:
            options = self._options
            if options.ephemeral:
                stack.callback(remove_folder, self._folder)
            stack.enter_context(locked_folder(self._folder))
            if not options.external:
                stack.enter_context(locked_folder(self._folder, RUNNER))
            if options.ephemeral:
                stack.push_async_callback(stop_envoy, self._folder)
            program = None if options.external else find_envoy(options.envoy)
            address = await in_daemon_thread(ip_address, options.host)
            envoy = await self._connect(stack, program, options.domain)
            running = await envoy.running()
            self._supervisor.attach(running)  # from now on, it is closed with the stack
            await self._write_settings(running, address)
            self._changes.write()
            envoy.configure()  # last: `gradient server gateway` waits for it
            await self._supervisor.open()
            loops = [self._supervisor.run(), self._maintain()] + ([self._keep_young()] if options.ephemeral else [])
            stack.push_async_callback(cancel, [asyncio.create_task(loop) for loop in loops])
            self._stack = stack.pop_all()

    async def attach(self) -> None:
        """Connect to the Envoy that runs, if there is one, as `drain` needs it. None is started.

        Raises:
            GatewayUnavailableError: another server uses the folder.
        """
        async with AsyncExitStack() as stack:
            stack.enter_context(locked_folder(self._folder))
            envoy = await self._connect(stack, None, Files(self._folder).read(ROUTES, read_domain))
            self._supervisor.attach(await envoy.find())
            self._stack = stack.pop_all()

    async def _connect(self, stack: AsyncExitStack, program: Path | None, domain: str | None) -> Envoy:
        """Read the files, and return Envoy, which is disconnected with the stack."""
        named = program is not None and self._options.envoy is not None
        envoy = self._envoy = Envoy(self._folder, program, named=named)
        stack.push_async_callback(envoy.close)
        self._supervisor = Supervisor(envoy, self._report, external=self._options.external)
        stack.callback(self._supervisor.close)
        routing = read_routing(envoy.files)
        self._changes = Changes(envoy.files, routing, domain, self._in_effect)
        stack.push_async_callback(self._changes.close)
        return envoy

    async def close(self) -> None:
        """Disconnect. Envoy keeps running; an ephemeral one ends, and its folder is removed."""
        await self._stack.aclose()

    async def stop(self) -> None:
        """Disconnect, and stop Envoy. It is stopped too if the gateway is not open.

        Raises:
            GatewayUnavailableError: another server uses the folder.
        """
        await self.close()
        with locked_folder(self._folder):
            await stop_envoy(self._folder)

    async def remove(self) -> None:
        """Disconnect, stop Envoy, and remove its files. `gradient server gateway` waits for new ones.

        Raises:
            GatewayUnavailableError: another server uses the folder.
        """
        await self.close()
        if not self._folder.exists():
            return
        with locked_folder(self._folder):
            (self._folder / BOOTSTRAP).unlink(missing_ok=True)  # first, so that no Envoy is started meanwhile
            await stop_envoy(self._folder)
            remove_folder(self._folder)

    async def drain(self) -> None:
        """Send no new requests to any instance, and return when there are no active ones, and clients have all responses.

        Raises:
            GatewayUnavailableError: it cannot be done.
        """
        await self._changes.change(lambda routing: routing.unroute_all())
        listening = self._envoy.files.read(LISTENERS, read_socket)

        async def has_requests() -> bool:
            """Return whether a request runs, or the gateway or the system has a part of its response."""
            if await self._envoy.admin.has_requests():
                return True
            return listening is not None and await in_daemon_thread(has_unsent, listening[1])

        await self._idle(has_requests)

    async def state(self) -> GatewayState:
        """Return whether the gateway runs and responds. Call it after `open`."""
        address = self._envoy.files.read(LISTENERS, read_address)
        problem, pid = self._supervisor.problem, self._supervisor.pid
        if problem is None and pid is not None:
            problem = await problem_of(self._envoy.admin, pid)
        return GatewayState(self._supervisor.alive, address, problem)

    def endpoint_url(self, deployment_id: str) -> str:
        """Return the URL of the endpoint of a deployment. Call it after `open`."""
        options = self._options
        tls = options.certificate is not None
        return endpoint_url(deployment_id, options.host, self._port, options.domain, tls=tls)

    def deployments(self) -> frozenset[str]:
        """Return the ids of the deployments that have an endpoint."""
        return self._changes.applied.deployments

    def routes(self, deployment_id: str) -> Routes:
        """Return the routes of a deployment. An instance whose route is not in effect yet counts as draining."""
        applied, wanted = self._changes.applied.of(deployment_id), self._changes.wanted.of(deployment_id)
        routed = frozenset(instance.id for instance in applied if not instance.draining)
        return Routes(
            routed=routed,
            draining=frozenset(instance.id for instance in applied | wanted) - routed,
            problem=self._supervisor.problem,
        )

    async def expose(self, deployment_id: str, access: Access | None = None) -> None:
        """Give a deployment an endpoint, or change who may use it. Without a routed instance, it responds with status 503.

        Raises:
            GatewayUnavailableError: it is not in effect.
        """
        await self._changes.change(
            lambda routing: routing.expose(deployment_id, self._counting.avoid).protect(deployment_id, access)
        )

    async def route(self, deployment_id: str, instance_id: str, target: Target) -> None:
        """Send requests to an instance. Return when it is in effect.

        Raises:
            GatewayUnavailableError: it is not in effect. It will be when the gateway runs.
        """
        port, protocol = target
        avoid = self._counting.avoid
        if not await self._changes.change(
            lambda routing: routing.expose(deployment_id, avoid).route(deployment_id, instance_id, port, protocol)
        ):
            raise GatewayUnavailableError(self._supervisor.problem or "The gateway is being started.")

    async def unroute(self, deployment_id: str, instance_id: str) -> None:
        """Send no new requests to an instance. Return when it is in effect.

        Raises:
            GatewayUnavailableError: it is not in effect.
        """
        await self._changes.change(lambda routing: routing.unroute(deployment_id, instance_id))

    async def drained(self, deployment_id: str, instance_id: str) -> None:
        """Send no new requests to an instance, also if its route is not in effect yet; return when it has no active ones.

        Raises:
            GatewayUnavailableError: it may still get requests.
        """
        applied = self._changes.applied.instance(deployment_id, instance_id)
        if applied is None or not applied.draining:  # Envoy may use a route that it has not confirmed in time
            await self.unroute(deployment_id, instance_id)
        if instance := self._changes.applied.instance(deployment_id, instance_id):

            async def has_requests() -> bool:
                return bool((await self._envoy.admin.active_requests())[instance.port])

            await self._idle(has_requests)

    async def _idle(self, has_requests: Callable[[], Awaitable[bool]]) -> None:
        """Return when there are no requests."""
        idle = 0
        while idle < _IDLE_LOOKS and self._supervisor.alive:
            try:
                idle = 0 if await has_requests() else idle + 1
            except AdminError:
                idle = 0  # it is unknown
            await asyncio.sleep(_DRAIN_INTERVAL)

    async def statistics(self) -> Statistics:
        """Return the requests that were counted.

        Raises:
            GatewayUnavailableError: Envoy does not respond.
        """
        admin = self._envoy.admin
        try:
            traffic = await self._counting.read(
                admin.request_counters, lambda: self._changes.applied.slots, lambda: self._supervisor.pid
            )
            active = await admin.active_requests()
        except (AdminError, ValueError) as error:
            raise GatewayUnavailableError(
                self._supervisor.problem or f"The gateway does not respond: {error}."
            ) from error
        instances = self._changes.applied.instances
        return Statistics(traffic, {instance.id: active.get(instance.port, 0) for instance in instances})

    async def forget_instance(self, deployment_id: str, instance_id: str) -> None:
        """Forget an instance whose container does not exist any more.

        Raises:
            GatewayUnavailableError: it is not in effect.
        """
        await self._changes.change(lambda routing: routing.forget_instance(deployment_id, instance_id))

    async def forget(self, deployment_id: str) -> None:
        """Remove the endpoint of a deployment.

        Raises:
            GatewayUnavailableError: it is not in effect.
        """
        slot = self._changes.applied.slots.get(deployment_id)
        self._counting.retire(slot)
        await self._changes.change(lambda routing: routing.forget(deployment_id))
        self._counting.retire(slot)  # again: a reading that was taken meanwhile may not have its last requests

    async def _write_settings(self, running: Process | None, address: str) -> None:
        """Write the files that do not depend on the routes. The listener is last: until then, a process that runs listens."""
        files, certificate = self._envoy.files, self._options.certificate
        files.write(CLUSTERS, clusters(self._folder))
        if certificate:
            self._secrets = Secrets(certificate, self._envoy, self._in_effect)
            uses_one = files.read(LISTENERS, read_tls) and files.read(SECRETS, list)
            if uses_one and running and await problem_of(self._envoy.admin, running.pid) is None:
                await self._secrets.renew()  # if it is refused, what runs stays as it is
            else:
                self._secrets.write()
        self._port = await self._select_port(running, address)
        tls = certificate is not None
        files.write(LISTENERS, listeners(self._folder, address, self._port, self._options.domain, tls=tls))
        if not tls:
            (self._folder / SECRETS).unlink(missing_ok=True)  # it has the private key

    async def _select_port(self, running: Process | None, address: str) -> int:
        """Return the port to listen on. With port 0, it is the one from before, if it is free."""
        files = self._envoy.files
        before = files.read(LISTENERS, read_socket)
        port = self._options.port or (before[1] if before else 0)
        if running and before == (address, port):
            return port
        listener = files.resources(LISTENERS) if running and before and before[1] == port else None
        try:
            if running and listener:
                await self._stop_listening(running)  # 0.0.0.0 and 127.0.0.1, for example, cannot have the same port
            if self._options.external and port:
                return port  # whoever starts an external gateway may use ports that the server may not use
            return free_port(address, port)
        except BaseException as error:  # also if the start is interrupted: endpoints respond without a server too
            if listener:
                files.write(LISTENERS, listener)
            if self._options.port or not isinstance(error, GatewayUnavailableError):
                raise
            return free_port(address, 0)

    async def _stop_listening(self, running: Process) -> None:
        """Let Envoy listen nowhere. Its active requests go on. If it does not respond, stop it."""
        self._envoy.files.write(LISTENERS, [])
        try:
            await self._in_effect([LISTENERS])
        except GatewayUnavailableError:
            await running.stop()

    async def _in_effect(self, names: Iterable[str] = FILES) -> bool:
        """Return True when Envoy has applied files, and False if it does not run."""
        try:
            async with asyncio.timeout(_APPLY_TIMEOUT):
                while self._supervisor.alive:
                    if await self._envoy.in_effect(names):
                        return True
                    await asyncio.sleep(_APPLY_INTERVAL)
        except TimeoutError:
            raise GatewayUnavailableError(
                "The gateway does not apply a change in time. The server tries again."
            ) from None
        return False

    async def _maintain(self) -> None:
        """Use a new certificate when its files change, and keep the log small."""
        while True:
            await asyncio.sleep(_MAINTENANCE_INTERVAL)
            try:
                self._envoy.limit_log()
                if self._secrets:
                    await self._secrets.renew()
            except GatewayUnavailableError as error:
                _log.warning("%s The gateway continues to use the previous certificate.", error)
            except Exception:  # noqa: BLE001  # such as a full disk
                _log.exception("the maintenance of the gateway failed; it is repeated")

    async def _keep_young(self) -> None:
        """Touch the files every hour: those of an ephemeral gateway are in /tmp, where programs remove old files."""
        while True:
            with suppress(OSError):  # a file is replaced
                for file in [self._folder, *self._folder.iterdir()]:
                    os.utime(file)
            await asyncio.sleep(TOUCH_INTERVAL)

    def _report(self) -> None:
        self._callback()
