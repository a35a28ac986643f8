"""A question of an exam: as a text for a base model, and as messages for an assistant."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A question, as a text for a base model and as messages for an assistant.

    exam           what its figures are called after
    id             of the question in its exam
    kind           how it is marked: a key of marks.KINDS
    prompt         what the user asks
    truth          what the marking needs to know; of a choice, its index
    worked         an answer that gets all marks, as a few-shot example shows it
    choices        the texts to choose among
    system         what stands before everything
    opening        what a base model continues; "": made from the prompt
    continuations  its possible continuations, to compare by their likelihood; () if it must write
    stop           what ends a base model's answer; the first stands between examples
    shots          few-shot examples: Questions that stand before it, with their answers
    """

    exam: str
    id: str
    kind: str
    prompt: str
    truth: object
    worked: str
    choices: tuple = ()
    system: str = ""
    opening: str = ""
    continuations: tuple = ()
    stop: tuple = ("\n\n",)
    shots: tuple = ()

    def messages(self) -> list[dict]:
        """The conversation that an assistant goes on with, in OpenAI's form."""
        turns = [("system", self.system)] * bool(self.system)
        for shot in self.shots:
            turns += ("user", shot.prompt), ("assistant", shot.worked)
        return [{"role": role, "content": text} for role, text in [*turns, ("user", self.prompt)]]

    def text(self) -> str:
        """The document that a base model goes on with."""
        return (f"{self.system}\n\n" * bool(self.system)
                + "".join(map(Question.example, self.shots)) + self.beginning())

    def beginning(self) -> str:
        """What a base model continues, without what stands before it."""
        return self.opening or f"Question: {self.prompt}\nAnswer:"

    def example(self) -> str:
        """The question and its answer, as a few-shot example in a text."""
        begun = self.beginning()
        answer = (self.continuations[self.truth] if self.continuations else
                  self.worked if begun.endswith("\n") else " " + self.worked)
        return begun + answer + self.stop[0]


STOP = ("\n\n", "\nQuestion:")
ASSISTANT = "A visitor asks, and a guide who knows a lot gives short and true answers."
FEW_SHOT = tuple(Question("", "", "text", prompt, answer, answer) for prompt, answer in (
    ("How many legs does a spider have?", "Eight."), ("What is the opposite of cold?", "Hot."),
    ("Which day comes after Monday?", "Tuesday."), ("What do bees make?", "They make honey.")))


def few_shot(prompt, shots=FEW_SHOT, system=ASSISTANT) -> Question:
    """Return a Question whose text() makes a base model answer `prompt` as an assistant would: a
    document of questions with short answers. It has no truth to be marked by.

    shots   Questions with their answers, such as `read` gives
    system  what the document says that it is
    """
    return Question("", "", "text", " ".join(prompt.split()), "", "", system=system,
                    stop=STOP, shots=tuple(shots))
