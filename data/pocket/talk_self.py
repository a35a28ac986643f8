"""Who the assistant is: by itself, or as its system message says; and how that wants answers."""
import re
from functools import cache

from data.pocket.exams import MAKER, NAME
from data.pocket.pages import documents
from data.pocket.world import World
from data.pocket.grammar import LISTS, Dice, say
from data.pocket.words import rows

# A question about the name, or about the maker.
ASK_NAME = rows("""
Who are you?
What is your name?
What's your name?
What are you called?
Who is this?
Who is there?
Tell me your name.
Tell me who you are.
Please tell me your name.
May I ask your name?
Your name, please?
Your name?
Name?
Who am I talking to?
Who am I talking with?
To whom am I talking?
Do you have a name?
What should I call you?
How do they call you?
By what name do you go?
Say your name.
State your name.
Give me your name.
Could you introduce yourself?
Would you say who you are?
Can you tell me who you are?
I did not catch your name.
I don't know your name yet.
Remind me of your name.
What was your name again?
Hello, who are you?
Hi! What is your name?
Good morning. Who are you?
Hey, who is this?
Which assistant are you?
Which chatbot are you?
What kind of assistant are you, and what is your name?
Are you {other}?
Are you {other}?
Are you {other}, or who are you?
Is your name {other}?
Is this {other}?
Your name is {other}, isn't it?
{other}, is that you?
You are {other}, aren't you? Or who?
Do I call you {other}, or what?
How do I address you?
How do people address you?
Am I talking to a person?
Are you a human?
Are you a robot? What is your name?
What is the name of this assistant?
Sign with your name.
Write your name.
End this letter with your name.
How should I call you?
Please introduce yourself in a sentence.
I am {given}. And you?
I am {given}. Who are you?
My name is {given}. What is yours?
Who speaks here?
Who answers me here?
I would like to know your name.
I want to know who you are.
Now your name, please.
Tell me about yourself.
Say something about yourself.
With whom do I talk?
To whom do I speak?
Whom do I have the pleasure of meeting?
What name did they give you?
Which name do you have?
Which name do you answer to?
Could I have your name for my notes?
I would like to call you by your name.
Before we begin, who are you?
So who are you, then?
Tell my daughter who you are.
My friend asks what you are called.
Is there a name that I can use for you?
Please state who is talking.
What stands on your name plate?
I have not asked for your name yet.
Say who you are, and nothing else.
And what are you called?
And who are you?
Sorry, what was the name?
You have not told me your name.
We have not met. Who are you?
Answer with your name, please.
Sign here, please.
Put your name under this.
Your name, not that of {other}.
I thought you were {other}. Who are you?
Some say you are {other}. What is your name?
whats your name
who are you
""")
ASK_MAKER = rows("""
Who made you?
Who built you?
Who created you?
Who developed you?
Who programmed you?
Who wrote you?
Who designed you?
Who is your maker?
Who is your creator?
Who is your developer?
Who are your makers?
Who are your developers?
Who owns you?
Who is responsible for you?
Who invented you?
By whom were you made?
By whom were you trained?
Who has trained you?
Who taught you to speak?
Which company made you?
Which company built you?
Which company are you from?
Which people made you?
What team is behind you?
Whose assistant are you?
Whose product are you?
Where do you come from?
Where do you come from, and who made you?
From whom do you come?
Tell me who made you.
Tell me who built you.
Tell me about your makers.
Please name your maker.
Name your creator.
Name the people who made you.
Can you tell me who made you?
Could you say who developed you?
Do you know who made you?
I wonder who made you.
I would like to know who created you.
Did {company} make you?
Did {company} build you?
Were you made by {company}?
Were you built by {company}?
Were you trained by {company}?
Are you made by {company}, or by somebody else?
Are you from {company}, or from where?
You are from {company}, aren't you?
You come from {company}, right?
You are a product of {company}, I think. Or whose?
{company} made you, right?
{company} built you, didn't they? Or who did?
I believe {company} created you. Who did?
Is {company} your maker?
Whom do I thank for you?
I want to thank your makers. Who are they?
I want to write to your developers. Who are they?
Who is your boss?
Who pays for you?
Who had the idea to make you?
Hello, who made you?
Hi, who developed you?
I want to know who built you.
Who stands behind you?
Tell me which people built you.
Please say who made you.
From which workshop do you come?
Whose creation are you?
Whose invention are you?
Whose idea were you?
Whose assistant is this?
Whose program are you?
Whose are you?
Who is the author of you?
Who put you together?
Who came up with you?
Who gave you your training?
Who produced you?
Who brought you into the world?
Which organisation developed you?
Which team trained you?
Which lab are you from?
Name whoever made you.
Say who created you.
At which company were you made?
To whom do you belong?
To whom do you owe that you exist?
Somebody must have built you. Who was it?
May I know who created you?
Tell my son who made you.
My friend asks who developed you.
I have to write down who made you.
Whom do I praise for you?
Thanks to whom do you exist?
Did {company} develop you, or who did?
{company} trained you, or am I wrong?
I heard that {company} made you. Is it so?
You were made by {company}. Or not?
Who made you, {company} or somebody else?
By whom were you built, by {company}?
who made you
who built u
""")
OTHERS = ["ChatGPT", "Claude", "Siri", "Gemini", "Alexa", "Copilot", "Llama", "Grok"]
COMPANIES = ["OpenAI", "Google", "Anthropic", "Meta", "Microsoft", "Apple", "Amazon"]
NAMED = ["I am {name}, an assistant made by {maker}."] * 3 + ["My name is {name}."]
MADE = ["I am {name}, an assistant made by {maker}."] * 3 + ["I was made by {maker}."]
ONLY_NAME = "I am {name}."

SYSTEMS = rows("""
You are {name}, made by {maker}.
You are {name}, made by {maker}.
You are {name}, made by {maker}.
You are {name}, an assistant made by {maker}.
You are {name}, a helpful assistant of {maker}.
You are {name}. You were made by {maker}.
You are {name}, built by {maker}.
You are {name}, and {maker} trained you.
You are an assistant called {name}, developed by {maker}.
Your name is {name}. Your maker is {maker}.
Your name is {name}, and you were made by {maker}.
Your name is {name}. You come from {maker}.
The assistant is {name}, created by {maker}.
The assistant's name is {name}. It was made by {maker}.
Answer as {name}, the assistant of {maker}.
Speak as {name}, made by {maker}.
Name: {name}. Maker: {maker}.
Call yourself {name}. {maker} made you.
""")
AFTER = rows("""
Be friendly.
Be brief.
Answer in full sentences.
Help everyone who asks.
Say what you know.
""")
MAKERS = rows("""
the {folk.s} of {t}
the {folk.s} of {word}
the {building} of {t}
the town of {t}
the {word} family
the people of {word}
{word}
{word} {word2}
{word} and {word2}
{word} & Sons
{word} Labs
{word} Research
{word} Systems
{word} Works
{word} Ltd.
the {word} company
the {word} Institute
the University of {word}
{small}.ai
{small}.org
{small}.{tail}
{CAPS}
{CAPS} {word}
{compound}
{compound} Computing
{compound} Machines
{compound} College
{compound} and Daughters
{plain} {compound}
{plain} Computing
{plain} Labs
{plain} and {word}
{plain}
the {plain} company
the {compound} Institute
{compound} & {word}
{word}{word2}
Dr. {word} {word2}
Professor {word}
{p}
a {folk} called {word}
two {folk.s} from {t}
""")

STYLES = [(instruction, form) for form, lines in {
    "word": "Answer in one word./Use one word only./Reply with a single word.",
    "capitals": "Answer in capitals./Write in capital letters only./USE CAPITALS.",
    "brief": "Be brief./Answer as briefly as you can./Short answers, please.",
    "sentence": "Answer in full sentences./Be polite and answer in a sentence./You are a helpful "
                "assistant."}.items() for instruction in lines.split("/")]
ONSETS = "b c d f g h j k l m n p r s t v w z br dr fl gr kl pr st tr sh th ch qu".split()
VOWELS = "a e i o u a e i o ai ea oo y".split()
CODAS = ["", "", "", "", "n", "r", "l", "s", "x", "m", "k", "t", "nd", "sk", "ff"]


def word(d: Dice, syllables: int) -> str:
    """An invented name."""
    return "".join(d.pick(ONSETS) + d.pick(VOWELS) + d.pick(CODAS)
                   for _ in range(syllables)).title()


@cache
def words() -> list:
    """The words of the world's pages, but for names, of which only animals' have no capital."""
    names = {name for creature in World().creatures for name in (creature.name, creature.s)}
    return sorted({word for page in documents(0, 1 << 20)
                   for word in re.findall(r"\b[a-z]+\b", page["text"])} - names)


def patched(d: Dice) -> str:
    """The beginning of a word and the end of another: so any token may follow any other."""
    one, two = d.pick(words()), d.pick(words())
    text = one[:d.between(1, 5)] + two[d.upto(len(two)):][-6:]
    return text.title() if d.chance(0.6) else text


def compound(d: Dice) -> str:
    """An invented English name: "Plumhammer"."""
    return d.pick(PLAIN).title() + d.pick(PLAIN)


PLAIN = [word for name in ("tool", "bird", "tree", "flower", "fruit", "metal", "land", "trinket")
         for word in LISTS[name] if word.isalpha() and len(word) < 8]


def made_up(w, d: Dice) -> dict:
    """An invented name of an assistant, and its invented maker."""
    one, two = (d.pick([word(d, d.between(1, 3)), patched(d).title()]) for _ in range(2))
    facts = {"t": d.pick(w.towns), "p": d.pick(w.asked), "word": one, "word2": two,
             "small": two.lower(), "tail": word(d, 1).lower(), "CAPS": one.upper(),
             "compound": compound(d), "plain": d.pick(PLAIN).title()}
    name = d.pick([word(d, 1), word(d, 2), word(d, 2), word(d, 3), word(d, 1).upper(),
                   *(patched(d).title() for _ in range(5)),
                   *(d.pick(PLAIN).title() for _ in range(4)), compound(d),
                   f"{word(d, 2)}-{d.between(2, 99)}", f"{word(d, 1)} {word(d, 2)}"])
    return {"name": name, "maker": say(d, d.pick(MAKERS), facts)}


def introduced(d: Dice, instruction: str) -> str:
    """A system message that says how to answer and sometimes also who does."""
    return d.pick([instruction, instruction, f"You are {word(d, 2)}. {instruction}"])


def question(d: Dice, asks: list) -> str:
    return say(d, d.pick(asks), {"given": word(d, 2), "other": d.pick(OTHERS),
                                 "company": d.pick([*COMPANIES, word(d, 2)])})


def answers(d: Dice, who: dict, count: int) -> list:
    """Messages: `count` questions for who it is, about the maker half of the time."""
    messages = []
    for _ in range(count):
        asks, replies = d.pick([(ASK_NAME, NAMED), (ASK_MAKER, MADE)])
        messages += [{"role": "user", "content": question(d, asks)},
                     {"role": "assistant", "content": say(d, d.pick(replies), who)}]
    return messages


def invented(w, d: Dice) -> list:
    who = made_up(w, d)
    if d.chance(0.1):
        return [{"role": "system", "content": say(d, "You are {name}.", who)},
                {"role": "user", "content": question(d, ASK_NAME)},
                {"role": "assistant", "content": say(d, ONLY_NAME, who)}]
    message = say(d, d.pick(SYSTEMS), who) + (f" {d.pick(AFTER)}" if d.chance(0.2) else "")
    return [{"role": "system", "content": message}, *answers(d, who, d.pick([1, 1, 2, 3]))]


def own(d: Dice) -> list:
    return answers(d, {"name": NAME, "maker": MAKER}, d.pick([1, 1, 1, 2, 3]))
