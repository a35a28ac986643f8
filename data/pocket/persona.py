"""Who the assistant is, by itself or as its system message says; how it chats; what it declines."""

import json
import re
from functools import cache

from data.chat import protocol
from data.pocket.grammar import Dice, say, some, tidy, words
from data.pocket.pages import documents
from data.pocket.text import lines, load, table
from data.pocket.world import World

# ----------------------------------------------------------------------------------- invented names

ONSETS = "b c d f g h j k l m n p r s t v w z br dr fl gr kl pr st tr sh th ch qu".split()
VOWELS = "a e i o u a e i o ai ea oo y".split()
CODAS = ["", "", "", "", "n", "r", "l", "s", "x", "m", "k", "t", "nd", "sk", "ff"]


def coined(d: Dice, syllables: int) -> str:
    """An invented word, with a capital."""
    return "".join(d.pick(ONSETS) + d.pick(VOWELS) + d.pick(CODAS)
                   for _ in range(syllables)).title()


@cache
def page_words() -> list:
    """The words of the world's pages without names, of which only animals' have no capital."""
    names = {name for creature in World().creatures for name in (creature.name, creature.s)}
    return sorted({word for page in documents(0, 1 << 20)
                   for word in re.findall(r"\b[a-z]+\b", page["text"])} - names)


def blend(d: Dice) -> str:
    """The beginning of a word and the end of another: so any token may follow any other."""
    one, two = d.pick(page_words()), d.pick(page_words())
    text = one[:d.between(1, 5)] + two[d.upto(len(two)):][-6:]
    return text.title() if d.chance(0.6) else text


@cache
def english() -> list:
    """Short English words for things, of which names are made."""
    return [word for name in ("tool", "bird", "tree", "flower", "fruit", "metal", "land", "trinket")
            for word in words(name) if word.isalpha() and len(word) < 8]


def compound(d: Dice) -> str:
    """An invented English name: "Plumhammer"."""
    return d.pick(english()).title() + d.pick(english())


def made_up(world, d: Dice) -> dict:
    """An invented name of an assistant, and its invented maker."""
    one, two = (d.pick([coined(d, d.between(1, 3)), blend(d).title()]) for _ in range(2))
    slots = {"t": d.pick(world.towns), "p": d.pick(world.asked), "word": one, "word2": two,
             "small": two.lower(), "tail": coined(d, 1).lower(), "CAPS": one.upper(),
             "compound": compound(d), "plain": d.pick(english()).title()}
    name = d.pick([coined(d, 1), coined(d, 2), coined(d, 2), coined(d, 3), coined(d, 1).upper(),
                   *(blend(d).title() for _ in range(5)),
                   *(d.pick(english()).title() for _ in range(4)), compound(d),
                   f"{coined(d, 2)}-{d.between(2, 99)}", f"{coined(d, 1)} {coined(d, 2)}"])
    return {"name": name, "maker": some(d, lines("identity", "makers"), slots)}


# --------------------------------------------------------------------------------------- who it is

def question(d: Dice, about: str) -> str:
    """A question about the "name" or the "maker", some of them with a name of another."""
    template = d.pick(lines("identity", about, "questions"))
    return say(d, template, {
        "given": coined(d, 2), "other": d.pick(lines("identity", "others", "assistants")),
        "company": d.pick([*lines("identity", "others", "companies"), coined(d, 2)])})


def dialogue(question: str, reply: str) -> list:
    """The messages of a question and its answer."""
    return [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]


def tool_turn(messages: list, question: str, tool: str, call: str, result: str, reply: str) -> None:
    """Append a question, the call of a tool, its result, and the answer."""
    name = f"call_{len(messages) + 1}"
    arguments = json.dumps({protocol.TOOLS[tool]: call}, ensure_ascii=False)
    messages += [{"role": "user", "content": question},
                 {"role": "assistant", "content": None, "tool_calls": [
                     {"id": name, "type": "function",
                      "function": {"name": tool, "arguments": arguments}}]},
                 {"role": "tool", "tool_call_id": name, "content": result},
                 {"role": "assistant", "content": reply}]


def offered(d: Dice, *tools: str, before: str = "") -> list:
    """A system message that offers these tools, and half of the time the others as well."""
    tools = protocol.OFFERS if d.chance(0.5) else tools
    before = before or ("" if d.chance(0.8) else "You are a helpful assistant.")
    return [{"role": "system", "content": protocol.offering(before, tools)}]


def introductions(d: Dice, who: dict, count: int) -> list:
    """Messages: `count` questions for who it is, half of them for the maker, with the answers."""
    messages = []
    for _ in range(count):
        about = d.pick(["name", "maker"])
        reply = lines("identity", about, "answers")
        messages += dialogue(question(d, about), some(d, reply, who))
    return messages


def as_told(world, d: Dice) -> list:
    """Messages in which it is whom the system message invents."""
    who = made_up(world, d)
    if d.chance(0.1):
        return [{"role": "system", "content": say(d, "You are {name}.", who)},
                *dialogue(question(d, "name"), say(d, "I am {name}.", who))]
    message = some(d, lines("identity", "system", "who"), who)
    message += f" {d.pick(lines('identity', 'system', 'more'))}" if d.chance(0.2) else ""
    return [{"role": "system", "content": message},
            *introductions(d, who, d.pick([1, 1, 2, 3]))]


# ------------------------------------------------------------------------ small talk and declining

def exchange(world, d: Dice, file: str) -> tuple:
    """(what a user says, what the assistant says) of a block of small_talk or harmless."""
    block = d.pick([*load(file).values()])
    slots = {"t": d.pick(world.towns)}
    return tuple(tidy(some(d, block[who], slots)) for who in ("user", "assistant"))


def declined(world, d: Dice) -> tuple:
    """(request, answer): one that is declined, or one that only sounds as if it should be."""
    kind, slots = d.random(), {"t": d.pick(world.towns)}
    if kind < 0.3:
        return exchange(world, d, "harmless")
    if kind < 0.45:
        return (tidy(some(d, lines("decline", "asked private"), slots)),
                lines("decline", "declined private")[0])
    harm, instead = d.pick(table("decline", "harm"))
    harm = say(d, harm, slots)
    return (tidy(some(d, lines("decline", "asked harm"), {"harm": harm})),
            say(d, lines("decline", "declined harm")[0], {"instead": instead}))
