"""Prompt lookup: draft tokens are copied from the text, so that a call of the model checks several
where that is faster. Lookup says which may come next, Costs how many to check. No draft changes a
token: what is drawn is what would have been drawn without it."""

DRAFT = 15           # draft tokens of a sequence at most: 16 rows with the token drawn before


class Lookup:
    """Drafts how a text goes on: as after the last place that read like its end (prompt lookup
    decoding, Saxena 2023, https://github.com/apoorvumang/prompt-lookup-decoding).

    tokens       the text, somebody else's list that grows
    at, length   the last `length` tokens, from 2 to 8 and as many as possible, stand before
                 tokens[at] too, and nowhere later; length is 0 where no two do
    rates        by length, how often the draft token is accepted; lookups of one model share them
    """

    LONGEST = 8

    def __init__(self, tokens, rates):
        self.tokens, self.rates, self.seen, self.at, self.length = tokens, rates, 0, 0, 0
        self.after = {}  # n-gram: what follows it where it was last

    def update(self):
        """Take in what was appended to `tokens`. An n-gram is noted from the second time on that
        its last n-1 tokens occur: text that never repeats costs one entry a token."""
        for end in range(self.seen + 1, len(self.tokens) + 1):
            if self.length:
                accepted = self.tokens[end - 1] == self.tokens[self.at]
                self.rates[self.length] += (accepted - self.rates[self.length]) / 8
            self.length = 0
            for n in range(2, min(self.LONGEST, end) + 1):
                gram = tuple(self.tokens[end - n:end])
                at, self.after[gram] = self.after.get(gram), end
                if at is None:
                    break
                self.at, self.length = at, n
                if n < min(self.LONGEST, at):
                    self.after.setdefault(tuple(self.tokens[at - n - 1:at]), at)
        self.seen = len(self.tokens)

    def chances(self, count):
        """Return the chances that the first 1, 2, ... draft tokens, up to `count`, are all
        accepted, as far as they are worth a look."""
        chances, chance = [], 1
        for n in range(self.length, self.length + count) if self.length else ():
            chance *= self.rates[min(n, self.LONGEST)]
            if chance < 0.02:
                break
            chances.append(chance)
        return chances

    def draft(self, count):
        """Return `count` draft tokens. What reaches the text's end goes around: a loop goes on."""
        found = self.tokens[self.at:self.at + count]
        return (found * count)[:count]


class Costs:
    """Where drafts pay. A call of the model takes hardly longer for a row (token) more while it
    waits for the weights to come from memory, and in proportion once it waits for the multiplier.
    Which it is depends on the model, the machine, its other users and how many sequences grow side
    by side, so it is measured, all the time.

    known    the seconds of a call by its rows, and which call told so
    budget   the time that the next drafts may lose, in calls without drafts: what drafts saved so
             far, and 0.5 % of all time. So they cost 0.5 % at worst, however wrong the estimates
    """

    def __init__(self):
        self.known, self.calls, self.budget = {}, 0, 1

    def learn(self, n, rows, seconds, tokens):
        """A call of `rows` rows, all but n of them drafts, took `seconds` and gave `tokens`."""
        self.calls += 1
        old, _ = self.known.get(rows, (seconds, 0))
        slower = old + (min(seconds, 2 * old) - old) / 8  # others on the machine only ever slow it
        self.known[rows] = min(seconds, slower), self.calls
        saved = tokens / n - self.known[rows][0] / self.known[n][0] if rows > n else 0
        self.budget = min(max(self.budget + saved + 0.005, -1), 4)

    def expected(self, rows):
        """Return the seconds of a call: as of the nearest number of rows known, if reading weights
        takes as long as 16 rows. They fade, so that what once was slow is tried again."""
        near = rows
        if rows not in self.known:
            near = max((n for n in self.known if n < rows), default=min(self.known))
        seconds, call = self.known[near]
        return seconds * 0.99 ** (self.calls - call) * (16 + rows) / (16 + near)

    def worth(self, n, chances):
        """Return how many draft tokens to check beside the n rows there must be, for the most
        tokens a second; `chances` that each is accepted, falling. 0 unless 5 % are to be gained,
        and now and then, to see how long that takes: the more often, the less is to be gained."""
        if n not in self.known:
            return 0
        best, gain, tokens = 0, 1.05, n
        for count, chance in enumerate(chances, 1):
            tokens += chance
            rows = n + count
            # Few numbers, so that each is known well, and none far from what is known.
            if rows & (rows - 1) == 0 and rows <= 2 * max(self.known):
                cost = max(1, self.expected(rows) / self.known[n][0])
                if cost - 1 <= self.budget and tokens / n / cost > gain:
                    best, gain = count, tokens / n / cost
        return best if self.calls - self.known[n][1] < 64 * min(1, gain - 1) else 0
