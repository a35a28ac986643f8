"""Run a trained model: text -> tokens -> model.extend -> a draw -> token -> text.

    python infer.py                                type a beginning; the newest run goes on with it
    python infer.py --prompt "Once upon a time"    one continuation, shown as it grows
    python infer.py --prompt "..." --n 4 --seed 7  four of them, the same four every time
    python infer.py --prompt "..." --probs         and what each token was drawn from
    python infer.py --prompt - < story.txt         the prompt comes from a file

    python infer.py                                with an assistant: talk; /help lists commands
    python infer.py chat --tools search python --index build/search.db
    python infer.py chat --prompt "Who are you?"   one answer, on stdout
    python infer.py complete --as-assistant --prompt "What is the capital of France?"
    python infer.py eval                           how much it knows and can
    python infer.py quantize --out F.gguf          the model as one file, for other programs
    python infer.py serve                          a page to chat at http://127.0.0.1:8000, an API
"""

if __name__ == "__main__":
    from csrc import cli
    cli.enter()

import sys
from collections import Counter
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from csrc import cli, gguf, gguf_write, gptq
from csrc.bind import TRAINS, Model
from csrc.cli import flag
from csrc.engine import Sampling, Sequence
from csrc.files import ChatError
from csrc.runs import find_model
from csrc.shown import plain, raw
from data.chat import terminal, tools
from data.chat.terminal import converse, note
from data.chat.turn import is_assistant, load, stage_of, talk_of
from data.exams import formats, questions, report, run
from data.stages.game import Opponent
from data.tokens.bpe import Tokenizer
from data.tokens.show import odds
from data.tokens.tables import to_gguf

TEXTS, LENGTH = 64, 256      # tokens of each, that GPTQ is given


# ---- The flags of each command -------------------------------------------------------------------

@dataclass(frozen=True)
class Generate(Sampling):
    """What all that generates has."""

    model: str | None = flag(None, "the model: a folder, or a GGUF file; default: the newest in "
                              "runs/. Its generation_config.json says what ends a text; how to "
                              "draw say only the flags below")
    prompt: str | None = flag(None, "how the text begins, or the question; -: all of stdin but a "
                              "last newline. Special tokens spelled in it are plain text. Default: "
                              "ask for it")
    lookup: bool = flag(True, "one token a call, without prompt lookup: the same text, slower")
    device: str = flag("auto", "auto: cuda where built", choices=["auto", "cpu", "cuda"])
    dtype: str = flag("auto", "auto: bf16 where built", choices=["auto", "f32", "bf16"])


@dataclass(frozen=True)
class Chat(Generate):
    """Talk with an assistant."""

    system: str = flag("", "what the assistant is told before all else")
    tools: list[str] | None = flag(None, "search, python or both: what it may use; default: "
                                   "search, if there is an index")
    load: str | None = flag(None, "continue this conversation (OpenAI's messages)", metavar="FILE")
    index: str | None = flag(None, "what search reads (data/tools.py index)", metavar="FILE")
    url: str | None = flag(None, "talk to the server there (`infer.py serve`), as "
                                 "http://127.0.0.1:8000; --model is then the name of one of its")
    api_key: str | None = flag(None, "the server's --api-key")
    think_budget: int = flag(0, "the most tokens of a thought; 0: any number", limits="[0, inf)")


@dataclass(frozen=True)
class Complete(Generate):
    """Continue a text, or answer by a document of questions and answers."""

    n: int = flag(1, "make N continuations, side by side", limits="[1, 1000]")
    probs: bool = flag(False, "a line a token: it, and what it was drawn from")
    as_assistant: bool = flag(False, "wrap the prompt in a document of questions and answers, so "
                              "that a model that was never trained to answers it")
    examples: str | None = flag(None, "what stands before the prompt: questions with answers (JSON "
                                "lines, or an exam's format), or any other text as it is",
                                metavar="FILE")
    shots: int = flag(5, "how many of the questions", limits="[0, inf)")


@dataclass(frozen=True)
class Either(Chat, Complete):
    """Chat with what was trained for that, else complete."""


@dataclass(frozen=True)
class Eval:
    """Put models through exams."""

    model: list[str] = flag(list, "folders, or LABEL=FOLDER; default: the newest in runs/")
    exam: list[str] = flag(list, "also these exams, in their published formats (data/exams)",
                           metavar="FILE")
    examples: str | None = flag(None, "questions with answers that stand before those of --exam",
                                metavar="FILE")
    shots: int = flag(5, "how many of them", limits="[0, inf)")
    count: int = flag(200, "questions of an exam at most, or windows of --text", limits="[1, inf)")
    kl: str | None = flag(None, "take no exams: how far the model is from this one on a text, in "
                          "nats a token", metavar="REFERENCE")
    text: str | None = flag(None, "the text for --kl, a file or a folder; default: the pocket "
                            "world's", metavar="PATH")
    seeds: list[str] = flag(list, "take no exams: the mean and the spread of each figure of these "
                            "files, which --out wrote for runs of several seeds", metavar="F.json")
    world: int = flag(0, "seed of the pocket world that is asked about")
    no_world: bool = flag(False, "ask nothing about it")
    training: str | None = flag(None, "also ask about facts by how many documents of this text, a "
                                "file, a folder or 'world', state them")
    index: str | None = flag(None, "what search reads (data/tools.py index)", metavar="FILE")
    votes: int = flag(1, "draw N answers to each question, at temperature "
                      f"{run.VOTING}, and mark what most of them say", limits="[1, 1000]")
    think: bool = flag(False, "let answers begin with a thought")
    think_budget: int = flag(0, "the most tokens of a thought; 0: any number", limits="[0, inf)")
    base: bool = flag(False, "treat every model as one that only continues texts")
    workers: int = flag(1, "models that are asked at one time, each by a process with its share of "
                        "the threads", limits="[1, 1024]")
    out: str | None = flag(None, "write the figures", metavar="F.json")
    html: str | None = flag(None, "write a report with charts and transcripts", metavar="F.html")
    device: str = flag("auto", "auto: cuda where built", choices=["auto", "cpu", "cuda"])
    dtype: str = flag("auto", "auto: bf16 where built", choices=["auto", "f32", "bf16"])


@dataclass(frozen=True)
class Quantize:
    """Write a model, with its tokenizer and template, as a GGUF file or a Hugging Face folder."""

    out: Path = flag(help="the new file, NAME.gguf; any other name is that of a folder")
    model: str | None = flag(None, "a folder, or a GGUF file; default: the newest in runs/. An "
                             "adapter is merged")
    type: str | None = flag(None, "what matrices are made of: llama.cpp's names; default: q4_k_m, "
                            "in a folder f32", choices=[*gguf_write.MIXES])
    rounding: str = flag("nearest", "nearest: each number by itself, in seconds; gptq: so that "
                         "numbers make good what others lost, by texts that the model writes, in "
                         "minutes", choices=["nearest", "gptq"])


@dataclass(frozen=True)
class Serve:
    """Chat in a browser, and answer OpenAI's clients."""

    model: list[str] = flag(list, "folders or GGUF files, or NAME=FOLDER; default: the newest in "
                                  "runs/. A model is loaded when it is first asked for")
    host: str = flag("127.0.0.1", "the address to listen on; another than this machine's own needs "
                                  "--api-key")
    port: int = flag(8000, "the port; 0: any that is free", limits="[0, 65535]")
    api_key: str | None = flag(None, "what clients have to send as their key")
    threads: Path = flag(Path("runs/chats.db"), "the chats of the page; beside it, as .kv, what "
                         "lets them go on without being read again", metavar="FILE")
    index: str | None = flag(None, "what its search reads (data/tools.py index)", metavar="FILE")
    cache_size: float = flag(4.0, "GB that this may take, the least recently used goes first; 0: "
                                  "keep nothing", limits="[0, inf)")
    device: str = flag("auto", "auto: cuda where built", choices=["auto", "cpu", "cuda"])
    dtype: str = flag("auto", "auto: bf16 where built", choices=["auto", "f32", "bf16"])


def start(settings, given):
    """Chat or complete, as the flags that are `given` ask for; without such, chat with an
    assistant, and complete with any other model and what comes from a pipe."""
    chats, completes = ([name for name in given if name in {f.name for f in fields(kind)}
                         - {f.name for f in fields(Generate)}] for kind in (Chat, Complete))
    if chats and completes:
        raise ChatError(f"{cli.option(chats[0])} is a flag of `infer.py chat`, and "
                        f"{cli.option(completes[0])} one of `infer.py complete`: give one command")
    if settings.url:
        return chat(settings)
    folder = find_model(settings.model)
    engine = engine_of(settings, folder)
    asked = not completes and (settings.prompt is not None or sys.stdin.isatty())
    plays = stage_of(folder) == "play"
    kind = Chat if chats or asked and (plays or is_assistant(engine, folder)) else Complete
    settings = kind(**{f.name: getattr(settings, f.name) for f in fields(kind)})
    (chat if kind is Chat else complete)(replace(settings, model=str(folder)), engine)


def engine_of(settings, folder):
    """Return the Engine of a folder that the flags ask for."""
    return load(folder, settings.device, settings.dtype, lookup=settings.lookup)


def piped(settings):
    """Return the prompt of --prompt or stdin; None if it is to be typed."""
    if settings.prompt is None and sys.stdin.isatty():
        return None
    if settings.prompt in (None, "-"):
        text = sys.stdin.buffer.read().decode("utf-8-sig", "replace")
        return text.replace("\r\n", "\n").removesuffix("\n")
    return settings.prompt


# ---- chat ----------------------------------------------------------------------------------------

def chat(settings, engine=None):
    """Answer the prompt as an assistant, or one question after the other as they are typed."""
    if settings.url:
        return talk(settings, terminal.Remote(settings))
    folder = find_model(settings.model)
    engine = engine or engine_of(settings, folder)
    if stage_of(folder) == "play":
        playing = Opponent(engine, settings)
        what = "Four in a row win. Type a column, or nothing to let the model begin."
        return talk(settings, playing, typed=lambda: converse(engine, folder, what, playing.answer))
    talk_of(engine.tokenizer)                    # ChatError if it has no tokens for conversations
    hint = "" if is_assistant(engine, folder) else \
        " (this model was not trained to chat: `infer.py complete` continues texts with it)"
    engine.keep = True
    names = settings.tools or ["search"] * bool(settings.index)
    known = tools.registry(settings.index, tools.budget_of(engine.model.config.context))
    talking = terminal.Chat(engine, settings, known, names, settings.system,
                            settings.think_budget)
    what = f"Seed {settings.seed}. Ask something; /help lists commands.{hint}"
    talk(settings, talking, hint, lambda: converse(engine, folder, what, talking.answer))


def talk(settings, talking, hint="", typed=None):
    """Have a conversation: about --prompt or, as `typed` does it, with what is typed."""
    if settings.load:
        talking.do_load(settings.load)
    prompt = piped(settings)
    if prompt is None:
        return typed() if typed else terminal.listen(talking.answer)
    finished = talking.ask(prompt)
    note(f"seed {settings.seed}{hint}")
    if not finished:
        sys.exit(130)


# ---- complete ------------------------------------------------------------------------------------

def complete(settings, engine=None):
    """Continue the prompt or, where there is none, one after the other as they are typed."""
    folder = find_model(settings.model)
    engine, prompt = engine or engine_of(settings, folder), piped(settings)
    if prompt is None:
        what = "Ask something." if settings.as_assistant else "Type how a text begins."
        converse(engine, folder, what, lambda line: show(engine, line, settings))
    elif not show(engine, prompt, settings):
        sys.exit(130)


def document(prompt, settings):
    """Return the text that a model goes on with, and the strings that end it: after what --examples
    names `prompt`, as a question if that is questions or --as-assistant is given, else as it is."""
    path, before, shots = settings.examples and Path(settings.examples), "", questions.FEW_SHOT
    if path and not {".json", ".jsonl", ".csv"} & {*path.suffixes}:
        path, before, shots = None, formats.load(path), ()
    elif path:
        shots = [replace(q, worked=q.worked.removeprefix("#### "))
                 for q in formats.read_file(path)[:settings.shots]]
    if not path and not settings.as_assistant:
        return before + prompt, ()
    question = questions.few_shot(prompt, shots, questions.ASSISTANT * settings.as_assistant)
    return before + question.text(), question.stop


def show(engine, prompt, settings):
    """Print the continuations, then a line about them on stderr; return False after Ctrl-C.

    The first is printed as it grows; the others grow beside it, and are printed in their turn.
    """
    text, stop = document(prompt, settings)
    settings = replace(settings, stop=(*settings.stop, *stop))
    tokens, turn, record = engine.encode(text), 0, "probabilities" if settings.probs else ""
    sequences = [Sequence(tokens, settings, i, record) for i in range(settings.n)]
    unseen = [f"---- {i + 1} of {settings.n} ----\n" * (settings.n > 1) for i in range(settings.n)]
    try:
        for s, token, text, probabilities in engine.generate(sequences):
            if stop and text == s.text:  # the blank after "Answer:"
                text = text.lstrip()
            unseen[s.index] += odds(engine.tokenizer, token, probabilities) \
                if settings.probs else plain(text)
            if s.finish:
                unseen[s.index] += f"\n{plain(s.text)}\n" if settings.probs else "\n"
            while turn < settings.n:
                print(unseen[turn], end="", flush=True, file=raw(sys.stdout))
                unseen[turn] = ""
                if not sequences[turn].finish:
                    break
                turn += 1
    except KeyboardInterrupt:
        print("\n".join(unseen[turn:]), flush=True, file=raw(sys.stdout))
    note(summary(engine, sequences))
    return turn == settings.n


def summary(engine, sequences):
    """Return a line: how many tokens in what time, how the sequences ended, the seed."""
    facts = [f"{what} {count} tokens, {count / engine.seconds[what]:.0f} tokens/s"
             for what, count in engine.tokens.items() if count]
    if made := engine.drafts["made"]:
        facts[-1] += f", {engine.drafts['accepted']} of {made} drafts accepted"
    ends = Counter(s.finish or "interrupted" for s in sequences)
    facts.append(", ".join(f"{count} x {end}" if count > 1 else end for end, count in ends.items()))
    context = engine.model.config.context
    if any(len(s.tokens) > context for s in sequences):
        facts[-1] += f" (the context of {context} tokens is full)"
    return " | ".join([*facts, f"seed {sequences[0].settings.seed}"])


# ---- eval ----------------------------------------------------------------------------------------

def evaluate(settings):
    """Put models through exams: those of files and, unless --no-world, the pocket world's; or
    compare one with another."""
    if settings.kl:
        return run.compare(settings)
    if settings.seeds:
        return print(report.over_seeds(settings.seeds))
    def pocket():
        from data.pocket import dialogues, exams     # loaded when they are asked for
        asked = exams.world_exams(settings.world, settings.count, settings.training)
        return asked._replace(dialogues=dialogues.examination(settings.world, settings.count))
    run.evaluate(settings, None if settings.no_world else pocket)


# ---- quantize ------------------------------------------------------------------------------------

def quantize(settings):
    """Write a model in another type, or as another kind of file."""
    source, out = gguf.opened(find_model(settings.model)), settings.out
    if out.exists():
        raise ChatError(f"{out} exists; remove it or choose another")
    for name, wanted in (("type", "f32"), ("rounding", "nearest")):
        if out.suffix != ".gguf" and getattr(settings, name) not in (None, wanted):
            raise ChatError(f"--{name} is {getattr(settings, name)}, but a folder's is {wanted}: "
                            f"let --out name a .gguf file")
    tokenizer = Tokenizer.load(source)
    model = Model.load(source, "cpu", "f32", TRAINS)
    if out.suffix != ".gguf":
        model.save(out, tokenizer.generation())
        return tokenizer.save(out)
    mix = settings.type or "q4_k_m"
    tables = {key: x for key, x in source.values.items() if key.startswith("tokenizer.")} \
        if isinstance(source, gguf.File) else to_gguf(tokenizer, model.config.vocab)
    blocks = rounded(model, tokenizer, mix) if settings.rounding == "gptq" else {}
    gguf_write.save(model, out, mix, tables, blocks)
    note(f"{out}: {out.stat().st_size / 1e6:.1f} MB, "
         f"{8 * out.stat().st_size / model.parameters:.2f} bits a weight")


def rounded(model, tokenizer, mix):
    """Return {name: blocks} of matrices that are rounded together, on texts that the model writes:
    each begins as documents do, and with a token by chance. A quarter is nothing but chance, for
    texts unlike those."""
    begin = [tokenizer.begin] * (tokenizer.begin is not None)
    plain, length = np.flatnonzero(tokenizer.byte_lengths), min(LENGTH, model.config.context)
    chance = np.random.default_rng(0).choice(plain, (TEXTS, length))
    written = gptq.sampled(model, [[*begin, int(ids[0])] for ids in chance[TEXTS // 4:]], length)
    texts = np.concatenate([chance[:TEXTS // 4], written])
    return gptq.rounded(model, gguf_write.types_of(model, mix), texts)


# ---- serve ---------------------------------------------------------------------------------------

def serve(settings):
    """Answer clients over HTTP."""
    from data.chat import page, server           # loaded when they are asked for
    server.serve(settings, page.routes(settings.threads, settings.index))


# ---- The command line ----------------------------------------------------------------------------

COMMANDS = {"": (Either, start), "chat": (Chat, chat), "complete": (Complete, complete),
            "eval": (Eval, evaluate), "quantize": (Quantize, quantize),
            "serve": (Serve, serve)}


def main():
    """Do what the command line says."""
    name, settings, given = cli.parse(__doc__, COMMANDS, default="")
    if "shots" in given and not settings.examples:
        raise ChatError(f"--shots {settings.shots} says how many of --examples: give that, too")
    if "text" in given and not settings.kl:
        raise ChatError("--text is for --kl REFERENCE: give that, too")
    if not name:
        return start(settings, given)
    COMMANDS[name][1](settings)


if __name__ == "__main__":
    cli.run(main)
