"""Completion for bash, which splits words at colons and other characters: `team:mnist` is one word for the command."""

from __future__ import annotations

import os

from click.shell_completion import BashComplete, add_completion_class, split_arg_string

# Bash replaces only the last part of a word by a completion, and passes this part as $2.
_SOURCE = """\
%(complete_func)s() {
    local IFS=$'\\n'
    local line="${COMP_LINE:0:COMP_POINT}"
    local word="${line##*[[:space:]]}"
    local kept="${word%%"$2"}"
    local response completion type value

    response=$(env COMP_LINE="$line" %(complete_var)s=bash_complete $1)

    for completion in $response; do
        IFS=',' read type value <<< "$completion"

        if [[ $type == 'dir' ]]; then
            COMPREPLY=()
            compopt -o dirnames
        elif [[ $type == 'file' ]]; then
            COMPREPLY=()
            compopt -o default
        elif [[ $type == 'plain' ]]; then
            COMPREPLY+=("${value#"$kept"}")
        fi
    done

    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Completion(BashComplete):
    """Completes the last word of the line up to the cursor."""

    source_template = _SOURCE

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the complete words after the name of the command, and the incomplete one."""
        line = os.environ.get("COMP_LINE", "")
        words = split_arg_string(line)
        incomplete = words.pop() if line[-1:].strip() else ""
        return words[1:], incomplete


def register() -> None:
    """Use this class in place of the one of click."""
    add_completion_class(Completion)
