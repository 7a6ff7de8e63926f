"""Print a script that completes `fiducial` commands in your shell.

It completes verbs, groups (mod → model=), options (model=res → resnet18, resnet50), the arguments of what is
picked (optimizer. → optimizer.lr=), and the runs that evaluate and predict take.
"""

from __future__ import annotations

import argparse

EXAMPLES = """examples:
  eval "$(fiducial completion bash)"        in ~/.bashrc
  eval "$(fiducial completion zsh)"         in ~/.zshrc, after compinit
  fiducial completion fish | source         in ~/.config/fish/config.fish
"""

BASH = r"""
_fiducial() {
    local line="${COMP_LINE:0:COMP_POINT}" kept="" candidate
    local word="${line##*[[:space:]]}"
    # bash replaces only what follows the last "=" or ":" of a word
    [[ $COMP_WORDBREAKS == *=* ]] && kept="${word%"${word##*[=:]}"}"
    COMPREPLY=()
    while IFS= read -r candidate; do
        COMPREPLY+=("${candidate#"$kept"}")
    done < <("$1" completion bash --line "$line" 2>/dev/null)
}
complete -o nospace -o default -F _fiducial fiducial
"""

ZSH = r"""
_fiducial() {
    local candidate
    local -a complete unfinished
    for candidate in "${(@f)$($words[1] completion zsh --line "${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)}"; do
        if [[ $candidate == *" " ]]; then
            complete+=("${candidate% }")
        elif [[ -n $candidate ]]; then
            unfinished+=("$candidate")
        fi
    done
    if (( ${#complete} + ${#unfinished} == 0 )); then
        _files
    else
        compadd -Q -a complete
        compadd -Q -S '' -a unfinished
    fi
}
compdef _fiducial fiducial
"""

FISH = r"""
function __fiducial_candidates
    fiducial completion fish --line (commandline -cp | string collect) 2>/dev/null | string trim --right
end
complete -c fiducial -f -a '(__fiducial_candidates)'
complete -c fiducial -n '__fish_seen_subcommand_from predict' -F
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("shell", choices=list(SCRIPTS), help="the shell that you type in")
    parser.add_argument("--line", help=argparse.SUPPRESS)  # what the script asks: the command line so far


def run(args: argparse.Namespace) -> int:
    """Print the script, or for the script the words that may come next."""
    if args.line is None:
        print(SCRIPTS[args.shell].strip())
        return 0
    from fiducial.cli.candidates import candidates

    print("\n".join(candidates(args.line)))
    return 0
