"""A Debian machine with systemd for tests. It consists of namespaces, and has the files of this machine. Its changes are discarded."""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from pathlib import Path

# Put this process into a cgroup with the name $1, and then into new namespaces: the other arguments are the command.
_ENTER = """
if [ -d /sys/fs/cgroup/systemd ]; then cgroup=/sys/fs/cgroup/systemd/$1; else cgroup=/sys/fs/cgroup/$1; fi
mkdir -p "$cgroup"
echo $$ >"$cgroup/cgroup.procs"
shift
exec unshare --mount --pid --cgroup --fork --kill-child "$@"
"""

# Start systemd in the new namespaces: $1 is the folder of the machine, $2 the socket of the engine; then, for each folder
# that it has a copy of, where it is on this machine and on the other one.
_BOOT = """
folder=$1 root=$1/root socket=$2; shift 2
mount -t tmpfs tmpfs "$folder"
copy() {
    mkdir -p "$2"
    layers=$(mktemp -d -p "$folder")
    mkdir "$layers/changes" "$layers/work"
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$layers/changes,workdir=$layers/work" "$2"
}
copy / "$root"
while (($#)); do copy "$1" "$root$2"; shift 2; done
mount -t proc proc "$root/proc"
mount --bind /proc/sys "$root/proc/sys"
mount -o remount,ro,bind "$root/proc/sys"
mount --rbind /dev "$root/dev"
mount -t sysfs -o ro sysfs "$root/sys"
if [ -d /sys/fs/cgroup/systemd ]; then
    mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
    mkdir "$root/sys/fs/cgroup/systemd"
    mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
else
    mount -t cgroup2 cgroup "$root/sys/fs/cgroup"
fi
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
touch "$root/run/docker.sock"
mount --bind "$socket" "$root/run/docker.sock"
# Nothing starts but systemd, the journal, and what a test starts. The engine runs already.
rm -rf "$root"/etc/systemd/system/*.wants "$root"/usr/lib/systemd/system/*.wants
cat >"$root/etc/systemd/system/test.target" <<UNIT
[Unit]
Wants=systemd-journald.service
UNIT
cat >"$root/etc/systemd/system/docker.service" <<UNIT
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
UNIT
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    chroot "$root" /lib/systemd/systemd --unit=test.target --log-target=console
"""

# Run the command $1 as in a shell session: with the folder and the variables that the command before left.
_RUN = """
cd "$PWD"
if [ -f /run/session ]; then . /run/session; fi
eval "$1"
status=$?
{ export -p; printf 'cd %q' "$PWD"; } >/run/session
exit $status
"""


class Machine:
    """A machine with the network of this process.

    Args:
        folder: An empty folder in the one of the engine.
        socket: The socket of the engine.
        copies: Folders that it has copies of: their paths on this machine, and on the other one.
    """

    def __init__(self, folder: Path, socket: Path, copies: dict[Path, str]) -> None:
        self._folder = folder
        self._socket = socket
        self._copies = [str(path) for pair in copies.items() for path in pair]
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder.with_name(f"{folder.name}.log")

    def start(self) -> None:
        """Start it, and return when systemd responds."""
        enter = ["bash", "-euc", _ENTER, "enter", f"{self._folder.parent.name}-machine"]
        boot = ["bash", "-euc", _BOOT, "boot", str(self._folder), str(self._socket), *self._copies]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([*enter, *boot], stdout=log, stderr=log)
        for _ in range(600):
            with suppress(OSError, IndexError):
                if self.run("systemctl is-active test.target", check=False).stdout == "active\n":
                    return
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(f"systemd did not start:\n{self._log.read_text()[-3000:]}")

    def run(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command as root, in one shell session with those before. Standard error is part of the output."""
        assert self._process
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        enter = ["nsenter", f"--target={children.split()[0]}", "--mount", "--pid", "--cgroup", "--root", "--wd"]
        done = subprocess.run(
            [*enter, "bash", "-c", _RUN, "run", command],
            env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{command}:\n{done.stdout}")
        return done

    def stop(self) -> None:
        """End all its processes."""
        if self._process:
            self._process.kill()
            self._process.wait(30)
