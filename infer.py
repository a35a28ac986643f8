"""Run a trained model: text -> tokens -> model.extend -> logits -> sample -> token -> text.

    python infer.py                                type a beginning; the newest run goes on with it
    python infer.py --prompt "Once upon a time"    one continuation, shown as it grows
    python infer.py --prompt "..." --n 4 --seed 7  four of them, the same four every time
    python infer.py --prompt "..." --probs         and what each token was drawn from
    python infer.py --prompt - < story.txt         the prompt comes from a file

    python infer.py                                with an assistant: talk; /help lists commands
    python infer.py chat --tools search,python --index build/search.db
    python infer.py chat --prompt "Who are you?"   one answer, on stdout
    python infer.py complete --as-assistant --prompt "What is the capital of France?"
    python infer.py eval                           how much it knows and can
"""

if __name__ == "__main__":
    from csrc import cli
    cli.enter()

import argparse
import difflib
import sys
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

from csrc.engine import Engine, Sequence, Sampling
from csrc.runs import newest_run
from data.chat import tools
from data.chat.protocol import is_assistant
from data.chat.terminal import Chat, converse, describe, note
from data.exams import formats, run

def load(args):
    """Return the Engine that the flags ask for."""
    args.model = args.model or newest_run()
    engine = Engine.load(args.model, args.device, args.dtype)
    engine.guess = not args.no_guess
    return engine


def start(args):
    """Chat with an assistant; complete with any other model, what comes from a pipe, and where a
    flag means that."""
    engine, completes = load(args), args.n or args.probs or args.as_assistant or args.examples
    asked = not completes and (args.prompt is not None or sys.stdin.isatty())
    (chat if asked and is_assistant(engine, args.model) else complete)(args, engine)


def piped(args):
    """Return the prompt of --prompt or stdin; None if it is to be typed."""
    if args.prompt is None and sys.stdin.isatty():
        return None
    if args.prompt in (None, "-"):
        return sys.stdin.buffer.read().decode("utf-8", "replace").removesuffix("\n")
    return args.prompt


# ---- chat ----------------------------------------------------------------------------------------

def chat(args, engine=None):
    """Answer the prompt as an assistant, or one question after the other as they are typed."""
    engine = engine or load(args)
    engine.check_talk()
    engine.keep = True
    names = args.tools.split(",") if args.tools else ["search"] * bool(args.index)
    able = tools.registry(args.index, tools.budget_of(engine.model.config.context))
    talking = Chat(engine, Sampling(**args.settings), able, names, args.system)
    if args.load:
        talking.do_load(args.load)
    prompt = piped(args)
    if prompt is None:
        what = f"Seed {talking.settings.seed}. Ask something; /help lists commands."
        return converse(engine, args.model, what, talking.answer)
    finished = talking.ask(prompt)
    note(f"seed {talking.settings.seed}")
    if not finished:
        sys.exit(130)


# ---- complete ------------------------------------------------------------------------------------

def complete(args, engine=None):
    """Continue the prompt or, where there is none, one after the other as they are typed."""
    engine, prompt = engine or load(args), piped(args)
    if prompt is None:
        what = "Ask something." if args.as_assistant else "Type how a text begins."
        converse(engine, args.model, what, lambda line: show(engine, line, args))
    elif not show(engine, prompt, args):
        sys.exit(130)


def document(prompt, args):
    """Return the text that a model goes on with, and the strings that end it: after what --examples
    names `prompt`, as a question if that is questions or --as-assistant is given, else as it is."""
    path, before, shots = args.examples and Path(args.examples), "", formats.SHOTS
    if path and not {".json", ".jsonl", ".csv"} & {*path.suffixes}:
        path, before, shots = None, formats.load(path), ()
    elif path:
        shots = [replace(q, worked=q.worked.removeprefix("#### "))
                 for q in formats.read_file(path)[:args.shots]]
    if not path and not args.as_assistant:
        return before + prompt, ()
    question = formats.as_asked(prompt, shots, formats.ASSISTANT * args.as_assistant)
    return before + question.text(), question.stop


def show(engine, prompt, args):
    """Print the continuations, then a line about them on stderr; return False after Ctrl-C.

    The first is printed as it grows; the others grow beside it, and are printed in their turn.
    """
    text, stop = document(prompt, args)
    settings = Sampling(**{**args.settings, "stop": (*args.settings.get("stop", ()), *stop)})
    tokens, turn = engine.encode(text), 0
    sequences = [Sequence(tokens, settings, i) for i in range(settings.n)]
    unseen = [f"---- {i + 1} of {settings.n} ----\n" * (settings.n > 1) for i in range(settings.n)]
    try:
        for s, token, probabilities, text in engine.generate(sequences, args.probs):
            if stop and text == s.text:  # the blank after "Answer:"
                text = text.lstrip()
            unseen[s.index] += describe(engine, token, probabilities) if args.probs else text
            if s.finish:
                unseen[s.index] += f"\n{s.text}\n" if args.probs else "\n"
            while turn < settings.n:
                print(unseen[turn], end="", flush=True)
                unseen[turn] = ""
                if not sequences[turn].finish:
                    break
                turn += 1
    except KeyboardInterrupt:
        print("\n".join(unseen[turn:]), flush=True)
    note(summary(engine, sequences))
    return turn == settings.n


def summary(engine, sequences):
    facts = [f"{what} {count} tokens, {count / engine.seconds[what]:.0f} tokens/s"
             for what, count in engine.tokens.items() if count]
    if made := engine.guesses["made"]:
        facts[-1] += f", {engine.guesses['right']} of {made} guesses right"
    ends = Counter(s.finish or "interrupted" for s in sequences)
    facts.append(", ".join(f"{count} x {end}" if count > 1 else end for end, count in ends.items()))
    context = engine.model.config.context
    if any(len(s.tokens) > context for s in sequences):
        facts[-1] += f" (the context of {context} tokens is full)"
    return " | ".join([*facts, f"seed {sequences[0].settings.seed}"])


# ---- eval ----------------------------------------------------------------------------------------

def evaluate(args):
    """Put models through exams: those of files and, unless --no-world, the pocket world's."""
    def pocket():
        from data.pocket.exams import world_exams    # loaded when it is asked for
        return world_exams(args.world, args.count, args.training)
    run.evaluate(args, None if args.no_world else pocket)


# ---- The command line ----------------------------------------------------------------------------

STAGES = {"": start, "chat": chat, "complete": complete, "eval": evaluate}


def parse(argv):
    parser = argparse.ArgumentParser(
        prog="infer.py", usage="python infer.py [chat|complete|eval] [--FLAG VALUE ...]",
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False)
    add = parser.add_argument
    add("stage", nargs="?", default="", help="chat: talk with an assistant; complete: go on with "
        "a text; eval: examine models. Default: chat with what was trained for that, else complete")
    add("--model", action="append", metavar="F", help="the model's folder (default: the newest in "
        "runs/); for eval also LABEL=F, and repeated")
    add("--prompt", metavar="P", help="how the text begins; -: all of stdin but a last newline. "
        "Special tokens spelled in it are plain text (default: ask for it)")
    for f in fields(Sampling):
        if f.metadata:
            default = "random" if f.name == "seed" else f.default
            add("--" + f.name.replace("_", "-"), type=f.type, metavar="N" if f.type is int else "X",
                help=f"{f.metadata['help']} (default: {default})")
    add("--stop", action="append", metavar="TEXT", help="end before this text; may be repeated")
    add("--probs", action="store_true", help="a line a token: it, and what it was drawn from")
    add("--no-guess", action="store_true", help="one token a call: the same text, slower")
    add("--device", default="auto", choices=["auto", "cpu", "cuda"], help="auto: cuda where built")
    add("--dtype", default="auto", choices=["auto", "f32", "bf16"], help="auto: bf16 where built")
    add = parser.add_argument_group("chat").add_argument
    add("--system", default="", metavar="TEXT", help="what the assistant is told before all else")
    add("--tools", metavar="NAMES", help="search,python or one of them: what it may use (default: "
        "search, if there is an index)")
    add("--load", metavar="FILE", help="go on with this conversation (OpenAI's messages)")
    add("--index", metavar="FILE", help="what search reads (data/tools.py index); for eval too")
    add = parser.add_argument_group("complete").add_argument
    add("--as-assistant", action="store_true", help="wrap the prompt in a document of questions "
        "and answers, so that a model that was never trained to answers it")
    add("--examples", metavar="FILE", help="what stands before the prompt: questions with answers "
        "(JSON lines, or an exam's format), or any other text as it is; for eval too")
    add("--shots", type=int, default=5, metavar="N", help="how many of the questions (default: "
        "%(default)s)")
    flags_of_eval(parser.add_argument_group("eval").add_argument)
    args, unknown = parser.parse_known_args(argv)

    flags = ["--" + name.replace("_", "-") for name in vars(args) if name != "stage"]
    for what, words, known in ("flag", unknown, flags), ("stage", [args.stage], [*STAGES]):
        for word in words:
            if word not in known:
                near, = difflib.get_close_matches(word.partition("=")[0], known, n=1, cutoff=0)
                parser.error(f"{word} is no {what}; the nearest is {near}")
    if args.stage != "eval":
        args.model = args.model and args.model[-1]
    args.settings = {f.name: value for f in fields(Sampling)
                     if (value := getattr(args, f.name)) is not None}
    return args


def flags_of_eval(add):
    add("--exam", action="append", metavar="FILE", help="also ask this exam, in its published "
        "format (data/exams.py); may be repeated")
    add("--count", type=int, default=200, metavar="N",
        help="questions of an exam at most (default: %(default)s)")
    add("--world", type=int, default=0, metavar="SEED",
        help="the pocket world that is asked about (default: %(default)s)")
    add("--no-world", action="store_true", help="ask nothing about it")
    add("--training", metavar="F", help="also ask about facts by how many documents of this text, "
        "a file, a folder or 'world', state them")
    add("--base", action="store_true", help="treat every model as one that only goes on with text")
    add("--workers", type=int, default=1, metavar="N", help="models that are asked at one time, "
        "each by a process with its share of the threads (default: %(default)s)")
    add("--out", metavar="F.json", help="write the figures")
    add("--html", metavar="F.html", help="write a report with charts and transcripts")


def main():
    sys.stdout.reconfigure(errors="replace")
    args = parse(sys.argv[1:])
    Sampling(**args.settings)  # complains before a model is loaded
    STAGES[args.stage](args)


if __name__ == "__main__":
    cli.run(main)
