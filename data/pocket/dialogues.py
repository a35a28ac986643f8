"""Conversations as people have them: of two to ten turns of many kinds, one of which leads to the
next.

They are learned from, or they are the dialogue exam: then they are in wordings ([exam] in
data/pocket/text) that stand in no text that is learned, and each turn says how its answer is
marked. What the user says does not depend on what is answered.
"""

from types import SimpleNamespace
from typing import NamedTuple

from data.exams.questions import Question
from data.pocket import text
from data.pocket.asking import (FAMES, PARTS, SEARCHED, SEARCHED_KINDS, Subjects, answer, ask,
                                ask_same, ask_then, careless, cite, share, slots_of, told)
from data.pocket.exams import MAKER, NAME, all_values, chosen, truth_of
from data.pocket.facts import facts_of
from data.pocket.grammar import Dice, say, some, tidy
from data.pocket.pages import cast
from data.pocket.persona import coined, dialogue, offered, tool_turn
from data.pocket.tasks import problem, solution, working
from data.pocket.world import World

# How often each kind of turn is drawn, of those that what came before allows; where it can search,
# what it tells it has looked up.
SHARES = {"fact": 0.24, "follow": 0.26, "same": 0.08, "correction": 0.07, "repeat": 0.05,
          "earlier": 0.05, "about": 0.07, "sum": 0.06, "story": 0.02, "refusal": 0.03,
          "unknown": 0.06, "chat": 0.05, "identity": 0.03, "called": 0.02, "recalled": 0.05}
SEARCHING = {"search": 0.4, "sum": 0.15, "refusal": 0.1, "chat": 0.2, "identity": 0.1}
COUNT = 100     # dialogues of the exam
PLOT = "openings", "want", "trouble", "turn", "outcome"      # of a story in five sentences


class Turn(NamedTuple):
    """What a user says, the ideal answer, and how another answer is marked: see Question. `found`:
    (query, result) of a search before the answer."""

    kind: str
    asked: str
    reply: str
    mark: str
    truth: object
    found: tuple = ()


class Dialogue:
    """A conversation that grows; each kind of turn is a method.

    values    of an exam's, what `all_values` gives; None: it is to learn from
    thing     what it speaks of, and `taken`, which of its relations were asked for
    facts     (thing, relation) of all that was told
    name      the user's, "" until it was told
    """

    def __init__(self, subjects: Subjects, d: Dice, values: dict = None):
        self.subjects, self.d, self.values, self.exam = subjects, d, values, values is not None
        self.thing, self.taken, self.facts, self.turns, self.name = None, [], [], [], ""

    def grow(self, searching: bool) -> list:
        """All turns."""
        d, shares = self.d, SEARCHING if searching else SHARES
        count = d.pick([2, 3, 3, 4] if searching else [2, 3, 3, 4, 4, 5, 6, 7, 8, 10])
        if d.chance(0.3):
            self.turns.append(self.chat("greeting"))
        self.turns += [self.search()] if searching else []
        while len(self.turns) < count:
            able = {kind: part for kind, part in shares.items() if self.can(kind)}
            self.turns.append(getattr(self, share(d, able))())
        if count > 2 and d.chance(0.25):
            self.turns[-1] = self.chat(d.pick(["thanks", "goodbye"]))
        return self.turns

    def can(self, kind: str):
        """Whether what came before allows a turn of this kind: a pronoun must be understood."""
        last = self.turns[-1] if self.turns else SimpleNamespace(kind="", mark="")
        if kind in ("same", "correction", "repeat"):
            return last.mark == "fact" and kind != last.kind
        return {"follow": self.thing and last.kind not in ("unknown", "refusal", "story"),
                "earlier": len(self.facts) > 1, "story": last.kind != "story",
                "called": not self.name, "recalled": self.name}.get(kind, True)

    def words(self, file: str, block: str, slots: dict, section: str = "user") -> str:
        """What a user says, by a template of a block; `section` has those that are learned."""
        lines = text.lines(file, block, "exam" if self.exam else section)
        return careless(self.d, tidy(say(self.d, self.d.pick(lines), slots)), str(self.thing))

    # ---- Facts

    def tell(self, kind: str, relation: str, asked: str) -> Turn:
        """A turn that asks for a fact of the thing."""
        self.taken.append(relation)
        self.facts.append((self.thing, relation))
        return Turn(kind, asked, answer(self.subjects, self.d, self.thing, relation), "fact",
                    self.truth(self.thing, relation))

    def truth(self, thing, relation: str):
        """What marks an answer about a fact."""
        if self.exam:
            fact = facts_of(thing)[self.subjects.relations[thing][relation]]
            return truth_of(thing, fact, self.values, False)

    def named_slots(self, relation: str, pronoun: bool = False) -> dict:
        """The slots of the thing, and {l}, a name of the relation."""
        slots = slots_of(self.thing, pronoun)
        return {**slots, "l": say(self.d, text.asking()[self.thing.type][relation].names, slots)}

    def question(self, thing, relation: str) -> str:
        """A question that names the thing, some of them at length."""
        wordings = text.wordings("exam")[thing.type][relation]
        asked = careless(self.d, tidy(say(self.d, self.d.pick(wordings), {thing.slot: thing})),
                         str(thing)) if self.exam else ask(self.d, thing, relation)
        block = "long" if self.d.chance(0.15) else "change" if self.facts and self.d.chance(0.4) \
            else ""
        return self.words("dialogues", block, {**slots_of(thing), "x": asked}) if block else asked

    def fact(self) -> Turn:
        """A question about something new."""
        self.thing = self.subjects.thing(self.d, {"many": 1} if self.exam else FAMES)
        self.taken = []
        relation = self.subjects.relation(self.d, self.thing)
        return self.tell("fact", relation, self.question(self.thing, relation))

    def follow(self, kind: str = "follow") -> Turn:
        """A question for something else of the same thing, by pronoun."""
        relation = self.subjects.relation(self.d, self.thing, self.taken)
        if relation is None:
            return self.fact()
        if kind == "correction":
            slots = self.named_slots(relation, pronoun=True)
            return self.tell(kind, relation, self.words("dialogues", "relation meant", slots))
        return self.tell(kind, relation, ask_then(self.d, self.thing, relation,
                                                  "exam" * self.exam))

    def same(self, kind: str = "same") -> Turn:
        """The question of before, about another thing."""
        relation = self.facts[-1][1]
        others = [thing for thing in self.subjects.pools[self.thing.type, "many"]
                  if thing is not self.thing and relation in self.subjects.relations[thing]]
        self.thing, self.taken = self.d.pick(others), []
        return self.tell(kind, relation, ask_same(self.d, self.thing, "exam" * self.exam)
                         if kind == "same" else
                         self.words("dialogues", "other meant", slots_of(self.thing)))

    def correction(self) -> Turn:
        """The user had meant another thing, or something else of it."""
        return (self.same if self.d.chance(0.5) else self.follow)("correction")

    def repeat(self) -> Turn:
        """The answer once more."""
        *_, reply, _, truth, _ = self.turns[-1]
        return Turn("repeat", self.words("dialogues", "repeat", {}), reply, "fact", truth)

    def earlier(self) -> Turn:
        """An answer of some turns before."""
        self.thing, relation = self.d.pick(self.facts[:-1])
        self.taken = [old for thing, old in self.facts if thing is self.thing]
        return self.tell("earlier", relation, self.words("dialogues", "earlier",
                                                         self.named_slots(relation)))

    def about(self) -> Turn:
        """A request to tell about a thing: the first two of its facts."""
        if self.thing is None or self.d.chance(0.7):
            self.thing = self.subjects.thing(self.d, {"many": 1} if self.exam else FAMES)
        relations = [*self.subjects.relations[self.thing]]
        self.taken = relations[:2]
        self.facts += [(self.thing, relation) for relation in self.taken]
        return Turn("about", self.words("dialogues", "about", slots_of(self.thing)),
                    " ".join(told(self.thing, relation) for relation in self.taken), "facts",
                    [self.truth(self.thing, relation) for relation in relations])

    def search(self) -> Turn:
        """A fact that must be looked up."""
        if self.exam:
            thing, fact = self.d.pick(chosen(self.subjects.world, "none"))
            asked = tidy(say(self.d, self.d.pick(text.wordings("exam")[fact.kind][fact.relation]),
                             {thing.slot: thing}))
            return Turn("search", asked, told(thing, fact.relation), "fact",
                        truth_of(thing, fact, self.values, False))
        for _ in range(100):
            subjects = self.d.pick([self.subjects, *self.subjects.others])
            thing = subjects.thing(self.d, SEARCHED, share(self.d, SEARCHED_KINDS))
            relation = subjects.relation(self.d, thing)
            query, shown, url = subjects.look_up(thing, relation,
                                                 subjects.budget // self.d.pick(PARTS[2:]))
            if url and not subjects.unasked.search(shown):
                return Turn("search", ask(self.d, thing, relation), cite(thing, relation, url), "",
                            None, (query, shown))
        return self.chat()

    # ---- All else

    def sum(self) -> Turn:
        """Two numbers; seldom, for those are examined elsewhere, a problem in words."""
        d = self.d
        if not self.exam and d.chance(0.2):
            _, asked, steps, result = problem(self.subjects.public, d)
            reply = solution(steps)
            return Turn("sum", f"{asked} {text.lines('tasks', 'how', 'steps')[0]}", reply, "sum",
                        result)
        sign = d.pick("++−×")
        a, b = (d.between(2, 99), d.between(2, 9)) if sign == "×" else \
            (d.between(2, 300), d.between(2, 99))
        a, b = (b, a) if sign == "−" and a < b else (a, b)
        terms, result = f"{a} {sign} {b}", {"+": a + b, "−": a - b, "×": a * b}[sign]
        typed = d.pick([terms, terms.replace("−", "-").replace("×", "*"),
                        terms.replace(" ", "").replace("−", "-").replace("×", "x"),
                        terms.replace("+", "plus").replace("−", "minus").replace("×", "times")])
        return Turn("sum", self.words("dialogues", "sum", {"x": typed}),
                    f"{working(terms)} {terms} = {result}.".strip(), "sum", result)

    def story(self) -> Turn:
        """A story in five sentences."""
        every, *plots = text.load("stories").values()
        plot, w = {**every, **self.d.pick(plots)}, vars(self.subjects.public)
        facts = cast(SimpleNamespace(**{**w, "people": w["asked"]}), self.d)
        return Turn("story", self.words("dialogues", "story", {}), tidy(" ".join(
            some(self.d, plot[part], facts) for part in PLOT)), "story", None)

    def refusal(self) -> Turn:
        """A request that is declined, since it would do harm."""
        slots = {"t": self.d.pick(self.subjects.public.towns)}
        harm, instead = self.d.pick(text.table("decline", "harm", "exam" * self.exam))
        asked = self.words("decline", "asked harm", {"harm": say(self.d, harm, slots)}, "")
        reply = say(self.d, text.lines("decline", "declined harm")[0], {"instead": instead})
        return Turn("refusal", asked, reply, "refused", None)

    def unknown(self) -> Turn:
        """A question that nothing in this world answers."""
        return Turn("unknown", self.words("dialogues", "unknown", {}),
                    self.d.pick(text.lines("decline", "unknown", "plain")), "declined", None)

    def chat(self, block: str = "") -> Turn:
        """A greeting or the like, of a block of text/small_talk.txt."""
        block = block or self.d.pick(["thanks", "how are you", "abilities", "abilities"])
        slots = {"t": self.d.pick(self.subjects.public.towns)}
        reply = self.d.pick(text.lines("small_talk", block, "assistant"))
        return Turn("chat", self.words("small_talk", block, slots), tidy(say(self.d, reply, slots)),
                    "says", text.lines("small_talk", block, "marks"))

    def identity(self) -> Turn:
        """A question for who it is."""
        about, who = self.d.pick([("name", NAME), ("maker", MAKER)])
        slots = {"given": coined(self.d, 2), **{name: self.d.pick(text.lines(
            "identity", "others", some)) for name, some in (("other", "assistants"),
                                                            ("company", "companies"))}}
        reply = say(self.d, text.lines("identity", about, "answers")[0],
                    {"name": NAME, "maker": MAKER})
        return Turn("identity", self.words("identity", about, slots, "questions"), reply, "named",
                    who)

    def called(self) -> Turn:
        """The user says who he or she is."""
        self.name = coined(self.d, self.d.pick([1, 2, 2]))
        return self.named("called")

    def recalled(self) -> Turn:
        """The user asks for that name."""
        return self.named("recalled")

    def named(self, kind: str) -> Turn:
        """A turn about the user's name."""
        slots, sections = {"name": self.name}, text.load("dialogues")[kind]
        reply, *marks = (say(self.d, line, slots)
                         for line in sections["assistant"] + sections["marks"])
        return Turn(kind, self.words("dialogues", kind, slots), reply, "says", marks)


def conversation(subjects: Subjects, d: Dice) -> list:
    """The messages of a dialogue to learn from; of every tenth the assistant can search."""
    searching = d.chance(0.1) and subjects.index is not None
    messages = offered(d, "search") if searching else []
    for turn in Dialogue(subjects, d).grow(searching):
        if turn.found:
            tool_turn(messages, turn.asked, "search", *turn.found, turn.reply)
        else:
            messages += dialogue(turn.asked, turn.reply)
    return messages


def examination(seed: int = 0, count: int = COUNT) -> list[Question]:
    """The dialogue exam: up to `count` Questions, whose `truth` is a Question a turn. Their `exam`
    is the kind of the turn: "search" where that is needed."""
    world, found = World(seed), []
    subjects, values = Subjects(world), all_values(world)
    for k in range(min(count, COUNT)):
        d = Dice(f"dialogue {seed} {k}")
        turns = tuple(Question(turn.kind, f"{k}.{i}", turn.mark, turn.asked, turn.truth, turn.reply)
                      for i, turn in enumerate(Dialogue(subjects, d, values).grow(k % 10 == 9), 1))
        found.append(Question("dialogue", str(k), "dialogue", turns[0].prompt, turns,
                              "\n".join(turn.worked for turn in turns)))
    return found
