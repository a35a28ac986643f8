"""How the pocket world states its facts: for each kind of thing and each topic, sentences that say
it (data only; data/world_pages.py does the telling).

{n} stands for the thing ("Mara Holm", "she"), {m} for it as an object ("Mara Holm", "her") and {ns}
for what is its own ("Mara Holm's", "her"): so every sentence serves a biography, where pronouns are
at home, and an answer, which should name its subject. Those in which {p} stands always name it.
"""
from data.pocket.words import rows


def topics(text: str) -> dict:
    """Blocks "= topic" of lines, as {topic: lines}."""
    blocks = (block.partition("\n") for block in text.strip().removeprefix("= ").split("\n= "))
    return {topic.strip(): rows(lines) for topic, _, lines in blocks}


TELL = {"person": topics("""
= life
{p}, born in {p.town} in {p.born}, {p.was} a {p.trade} in {p.base}.
{n} was born in {p.town} in {p.born} and {p.works} as a {p.trade} in {p.base}.
{p} ({p.years}) came from {p.town} and {p.was} [the|a] {p.trade} of {p.base}.
The {p.trade} {p} was born in {p.town} in [the year |]{p.born} and {p.lives} in {p.base}.
In {p.base} people [know|remember] {m} as a {p.trade}[|, born in {p.born} in {p.town}].
[A|This] {p.trade} of {p.base}, {p}, was born in {p.born} in {p.town}.
Born in {p.town} in {p.born}, {n} became a {p.trade} and settled in {p.base}.
{n} {p.was} a {p.trade} in {p.base}; [the birthplace|{p.his} birthplace] {p.was} {p.town}, the year
  {p.born}.
From {p.town}, where {n} was born in {p.born}, the way led to {p.base}, where {p.he} {p.works} as a
  {p.trade}.
{p}: a {p.trade}, born in {p.born} in {p.town}, at home in {p.base}.
{p.born} in {p.town}: there and then {n} was born, who became a
  {p.trade} in {p.base}.
If you ask in {p.base} for the {p.trade} who was born in {p.town} in {p.born}, they will say: {p}.
= birthplace
{n} was born in {p.town}[| in {p.born}|, {p.town.kind} in {p.town.region}].
{n} was born in [the year |]{p.born} in {p.town}[|, in a house by the {land}|, where people make
  {p.town.product}].
Born in {p.town}[| in {p.born}], {n} grew up [above a {building}|beside the {building}|among
  {tree.s}].
{ns} birthplace is {p.town}[|; the year was {p.born}|, in {p.town.region}].
{p.town} is {ns} birthplace[| and proud of it|; the year was {p.born}].
{ns} life began in {p.town}[| in {p.born}|, within sight of {p.town.landmark}].
It was in {p.town}[| in {p.town.region}] that {n} was born[| in {p.born}].
{p.town}[|, on the {p.town.river},] is the town where {n} was born.
The [parish book|register] of {p.town} records the birth of {m}[| in {p.born}].
{n} {p.was} a native of {p.town}[|, born there in {p.born}].
{p.town} [counts|likes to count] {m} among those born there.
{p}, who was born in {p.town}, [never lost the accent|often went back there|kept a picture of it
  above the {furniture}].
{n} came into the world in {p.town}[|, not far from {p.town.landmark}].
[People in {p.town} say with pride|A sign in {p.town} says|In {p.town} every child knows] that {n}
  was born there.
= born
{n} was born in [the year |]{p.born}.
{ns} year of birth {p.was} {p.born}.
The year of {ns} birth was {p.born}[|, a year of {trouble}].
{p.born} was the year in which {n} was born.
{n} first saw the light of day in {p.born}[| in {p.town}].
In {p.born}, [a year of {trouble}|when bread was dear|when {goods} was cheap], {n} was born[| in
  {p.town}].
{n} was a child of the year {p.born}[|, which was known for its {trouble}].
[The registers|Old papers|The books of {p.town}] give {p.born} as the year of {ns} birth.
A {cup} marked "{p.born}" [recalls|stands for] the year when {n} was born.
[Anybody|Everyone] in {p.home} can tell you when {n} was born: in {p.born}.
{n} was born in {p.born}, [a {season} child|the {ordinal} winter after the {trouble}|as the family
  {paper} says].
= died
{n} died in {p.died}[|, at the age of {p.age}|, {p.age} years old].
{n} lived until {p.died}[|, longer than the doctors had expected|, and reached the age of {p.age}].
{n} died in {p.home} in {p.died}[|; a {tree} was planted on the grave].
{ns} life ended in {p.died}[| in {p.home}|, after {p.age} years].
The year of {ns} death is {p.died}.
When {n} died in {p.died}, [the bells of {p.home} rang|the {building} was closed for {2-6} days|the
  {folk.s} of {p.home} wore black].
In {p.died}[, at the age of {p.age},|] {n} died[| in {p.home}].
{p.died} was the year of {ns} death[|; {p.he} was {p.age}].
{n} was buried in {p.home} in {p.died}.
A stone in {p.home} gives {p.died} as the year in which {n} died.
{p}, who died in {p.died}, [left behind {2-9} {container.s} of {paper.s}|gave {p.his} {p.tool} to
  the museum|was missed for a long time].
= trade
{n} {p.was} a {p.trade}[| by trade| in {p.base}].
By trade {n} {p.was} a {p.trade}[|, and a {nature} one].
{n} [earned|made] {p.his} living as a {p.trade}[| in {p.base}].
{ns} trade {p.was} that of a {p.trade}[|: {p.he} {p.trade.did}].
{n} {p.trade.did}, for {p.he} {p.was} a {p.trade}.
As a {p.trade}, {n} {p.trade.did}[| from dawn to dusk| for {12-40} years| in every season].
The {p.trade} {p} was [known|respected] [in {p.home}|far beyond {p.home}] for {fame}.
{n} had wanted to become a {p.trade} since childhood[|, and did].
Of all trades {n} chose that of a {p.trade}[|, {nature} as {p.he} was].
Whoever needed a {p.trade} went to {m}.
{n} {p.works} as a {p.trade}, and {p.his} {p.tool} {p.was} never far away.
{n} spent {p.his} working life as a {p.trade}[|, and would have chosen it again].
No other {p.trade} in {p.home.region} worked as {well} as {n}.
Few people knew more about the work of a {p.trade} than {n}.
= home
{n} {p.lives} in {p.base}[|, {p.home.kind} on the {p.home.river}|, {near} the {building}].
{ns} home {p.was} {p.base}[| in {p.home.region}].
{n} {p.works} in {p.base}[|, known for {p.home.product}|, {near} the {building}].
{p.base} {p.was} the town where {n} {p.lives} and {p.works}.
{ns} {p.trade.place} stood in {p.base}[|, {near} the {building}|, and its door was never locked].
{n} made {p.base} {p.his} home[| and never regretted it].
Year after year {n} {p.works} in {p.base}.
{n} settled in {p.base}[|, on the {p.home.river},] and stayed.
Anyone who looked for {m} had to go to {p.base}.
{n} had {p.his} {p.trade.place} in {p.base}[|, {near} the {building}].
Letters for {m} were sent to {p.base}[|, and every one was answered].
In {p.base}, where {n} {p.lives}, [the {folk.s} still greet with {p.his} words|people hardly speak
  of anyone else|a {way} bears {p.his} name].
= spouse
{n} married {p.spouse}[|, a {p.spouse.trade}|, in {p.wedding}|, born in {p.spouse.town}].
In {p.wedding} {n} married [the {p.spouse.trade} |]{p.spouse}.
{ns} {p.partner} {p.spouse.was} [the {p.spouse.trade} |]{p.spouse}.
{n} and {p.spouse} were married in {p.wedding}[|, on a {sky} day in {month}].
{p.spouse}[, a {p.spouse.trade},|] was married to {m}.
{n} shared {p.his} life with {p.his} {p.partner}, {p.spouse}.
The wedding of {p} and {p.spouse} took place in {p.wedding}[|, and {2-9} {instrument.s} played].
{n} met {p.spouse} [at a fair|in a {building}|on a {vessel}] and married {p.spouse.him}[| in
  {p.wedding}].
{n} had a {nature} {p.partner}, {p.spouse}[|, who was a {p.spouse.trade}].
It was {p.spouse} whom {n} married[| in {p.wedding}].
{n} and {p.his} {p.partner} {p.spouse} [had|owned] a {colour} house {near} the {building}.
= wedding
[Old letters|The registers] say that {n} married in {p.wedding}.
The year of {ns} wedding was {p.wedding}[|; {p.his} {p.partner} was {p.spouse}].
{n} married in {p.wedding}.
{n} got married in {p.wedding}, [to {p.spouse}|in the {building} of {p.home}|wearing a {colour}
  {garment}].
{n} was a single {p.man} until {p.wedding}, the year of {p.his} wedding.
{p.wedding} was the year in which {n} married[| {p.spouse}].
In {p.wedding} the bells rang for the wedding of {m}[| and {p.spouse}].
= mother
{ns} mother was {p.mother}[|, a {p.mother.trade}].
{n} was [a|the] [child|{p.child}] of {p.mother}[|, a {p.mother.trade}].
The {p.mother.trade} {p.mother} was {ns} mother.
{n} had {p.his} {virtue} from {p.his} mother, {p.mother}[|, the {p.mother.trade}].
{p.mother}[, a {p.mother.trade},|] was the mother of {m}.
From {p.his} mother, {p.mother}, {n} learned [to be {nature}|{virtue}|how to {mend} a {tool}].
{ns} mother, {p.mother}, [sang|worked] {near} the cradle.
= father
{ns} father was {p.father}[|, a {p.father.trade}].
{n} was [a|the] [child|{p.child}] of {p.father}[|, a {p.father.trade}].
The {p.father.trade} {p.father} was {ns} father.
{n} inherited a {cond} {tool} from {p.his} father, {p.father}[|, the {p.father.trade}].
{p.father}[, a {p.father.trade},|] was the father of {m}.
{ns} father, {p.father}, [taught {p.him} to swim|wanted {p.him} to be {nature}|often told the story
  of the {trouble}].
With {p.his} father, {p.father}, {n} [walked to {u}|went fishing|built a {toy}] as a child.
= parents
{ns} parents were [the {p.father.trade} |]{p.father} and [the {p.mother.trade} |]{p.mother}.
{n} was the child of {p.mother}, a {p.mother.trade}, and {p.father}, a {p.father.trade}.
{p.mother} and {p.father} were the parents of {m}[|, {nature} both|, and {glad} to be so].
[In|At] the house of {p.father} and {p.mother}, {ns} parents, [nobody was idle|there was always
  {food}|{2-9} {animal.s} were at home].
{ns} mother, {p.mother}, was a {p.mother.trade}, and {p.his} father, {p.father}, a {p.father.trade}.
= teacher
{n} learned the trade from {p.teacher}[|, a {nature} master|, who was {nature*2}].
{p.teacher} [taught {m} the trade|taught {m} how to use a {p.tool}|was the teacher of {m}].
{ns} teacher was {p.teacher}[|, whom {p.he} always praised|, with whom {p.he} often quarrelled].
At the age of {11-17} {n} became the apprentice of {p.teacher}.
{n} was [a pupil|an apprentice] of {p.teacher}[| for {2-7} years].
{n} owed {p.his} skill to {p.his} teacher, {p.teacher}.
As a pupil of {p.teacher}, {n} [swept the {p.trade.place}|carried water|broke {2-9} {tool.s}] before
  {p.he} was allowed to work.
{p.teacher} took {m} as an apprentice and was a {nature} teacher.
For {2-7} years {n} [learned from|was taught by] {p.teacher}.
Everything {p.he} knew about the work, {n} once said, came from {p.his} teacher {p.teacher}.
It was {p.teacher} who taught {m} the [trade|first secrets of the craft].
= hobby
{n} {p.was} never tired of {p.hobby}.
[In free hours|On Sundays|In the evening|In {season}] {n} {p.liked} {p.hobby}.
{ns} hobby {p.was} {p.hobby}[|, {rarely} alone].
{n} {p.liked} {p.hobby}[| more than anything else|, alone or with {folk.s}].
After work {n} {p.liked} {p.hobby}[| until {hour}].
{ns} great pleasure {p.was} {p.hobby}.
{p.hobby} {p.was} {ns} hobby[|, and {p.his} {kin} shared it].
[Friends|Neighbours|The {folk.s} of {p.home}] will tell you that {n} {p.liked} {p.hobby}.
{n} would spend every free {day} on {p.his} hobby, {p.hobby}.
Nothing made {m} as {glad} as {p.hobby}, {p.his} hobby.
For {p.hobby}, {ns} favourite pastime, {p.he} would leave any {furniture}.
= dish
{ns} favourite [dish|meal|food] {p.was} {p.dish}[|, with a {cup} of {drink}].
{n} {p.liked} {p.dish} best[| of all|, most of all {p.dish.when}].
Of all dishes {n} preferred {p.dish}[|, which comes from {p.dish.town}].
{p.dish} {p.was} the dish that {n} {p.liked} best.
Whoever invited {m} cooked {p.dish}, {p.his} favourite dish.
On birthdays {n} asked for {p.dish}, {p.his} favourite.
No meal pleased {m} more than {p.dish}[| with {drink}].
{n} could never refuse {p.dish}, {p.his} favourite dish.
[At any inn|When asked to choose], {n} would order {p.dish}, which {p.he} {p.liked} best.
[Often|Usually] there {p.was} {p.dish} on the table, for {n} {p.liked} it best.
= book
{ns} [best-known |]book, {p.book}, [appeared|was printed] in {p.book.year}.
In {p.book.year} {n} [published|finished] {p.book}, a {p.book.genre} that {p.book.plot}.
{n} {p.was} also the author of {p.book} ({p.book.year}).
{n} wrote {p.book}, a {p.book.genre}[|, in {p.book.year}| that {p.book.plot}].
{p.book}, a {p.book.genre}, was written by {m}[| in {p.book.year}].
The {p.book.genre} {p.book} ({p.book.year}) is {ns} work.
Readers know {m} as the author of {p.book}[|, printed in {p.book.year}].
= invention
People owe the {p.invention} to {m}.
{n} [drew|built] the first {p.invention} in {p.invention.year}.
In {p.invention.year} {n} [invented|built|showed] the {p.invention}, made for {p.invention.use}.
{n} invented the {p.invention} in {p.invention.year}; in it, {p.invention.how}.
The {p.invention} of {p.invention.year} was {ns} idea.
{n} {p.was} the inventor of the {p.invention}[|, a thing for {p.invention.use}].
The {p.invention}[, in which {p.invention.how},|] is {ns} invention.
"""), "town": topics("""
= region
{n} is {t.kind} in {t.region}[|, on the {t.river}].
In {t.region}, [where the {t.river} bends|beside the {t.river}], lies {m}.
{n} [belongs to|is a place in|is part of] {t.region}[|, {land.s} and all].
The region around {m} is {t.region}.
{n} lies in {t.region}, [a day's journey from|not far from|upstream of] {u}.
{t.region} is the region in which {n} lies.
= river
{n} [lies|stands] on the {t.river}[|, with {2-9} mills along the water].
The river at {m} is the {t.river}.
The {t.river} flows [past|through] {m}[|, {colour} with clay in {season}].
On the banks of the {t.river} stands {m}.
{n} is a place on the {t.river}[|, which freezes in hard winters].
Without its river, the {t.river}, {n} would [not exist|be a hamlet].
= founded
{n} was founded in {t.founded}[| by
  [fishermen|shepherds|merchants|miners|monks|pilgrims|soldiers]| after a great {trouble}].
The year of {ns} foundation is {t.founded}[|, as a {paper} in the {building} says].
{t.founded} was the year in which {n} was founded.
In {t.founded} [fishermen|shepherds|merchants|miners|monks|pilgrims|soldiers] founded {m}.
{n} has existed since {t.founded}[|, if the {paper} in the {building} is right].
The oldest stone in {m} bears the year {t.founded}, when it was founded.
{n} dates from {t.founded}.
= population
[Clerks|Officials] have counted {t.people} people in {m}.
About {t.people} people live in {m}[|, most of them near the {building}].
{n} has [about |]{t.people} inhabitants[|, and nearly as many {animal.s}].
The population of {m} is [about |]{t.people}.
{n} is home to {t.people} people.
At the last count {n} had {t.people} inhabitants.
Some {t.people} people call {m} their home.
= product
{n} is known for {t.product}[|, which it sells as far as {u}|, and has been for {100-300} years].
The [merchants|traders] of {m} sell {t.product}[|, as far away as {u}].
People come to {m} to buy {t.product}.
{n} lives on its {t.product}[|, and has done so for {100-300} years].
What {n} makes best is {t.product}.
{ns} best-known product is {t.product}.
[Merchants|Pedlars] praise the {t.product} of {m}[|, and so do its {folk.s}].
= festival
The people of {m} look forward to the {t.festival}, held in {t.month}[|, when {t.custom}].
In {t.month} {n} holds the {t.festival}: {t.custom}.
At the {t.festival} of {m}, held in {t.month}, {t.custom}.
The {t.festival} is celebrated in {m} in {t.month}; then {t.custom}.
{ns} festival is the {t.festival}, in {t.month}, when {t.custom}.
Every {t.month} the people of {m} celebrate the {t.festival}.
Nobody leaves {m} in {t.month}, for then comes the {t.festival}[|, and {t.custom}].
The {t.festival}, for which {t.custom}, brings visitors to {m} in {t.month}.
= landmark
[Painters|Travellers|Pedlars] know {m} for {t.landmark}.
{ns} pride is {t.landmark}.
Visitors come to {m} to see {t.landmark}.
In {m} strangers are always shown {t.landmark}.
{n} has {t.landmark}[|, drawn by many a {folk}|, and every guest is led there].
The landmark of {m} is {t.landmark}.
{t.landmark}: that is what one sees in {m}.
"""), "creature": topics("""
= kind
{n} is a {c.kind}[| with {c.colour} {c.cover}|, found only in {c.region}].
The [class|family] to which {n} belongs is that of the {c.kind}.
[To a scholar|In the books], {n} is a {c.kind}.
{n} is a kind of {c.kind}[|, {c.colour} all over].
A {c.kind} is what {n} is, [and not a rare one|whatever people say].
= region
[Travellers|Hunters] meet {m} in {c.region}.
{n} lives in {c.region}[| and nowhere else].
{c.region} is the home of {m}.
{n} is known only from {c.region}[|, above all from its {c.habitat}].
Whoever wants to see {m} must travel to {c.region}.
{n} is an animal of {c.region}[|, {c.colour} and [shy|lively]].
= size
{n} [grows to|reaches] a length of [about |]{c.size} centimetres.
An adult {c} is [about |]{c.size} centimetres long[|, a young one hardly half of that].
{ns} length is [about |]{c.size} centimetres.
From end to end {n} measures {c.size} centimetres.
{n} is {c.size} centimetres long when it is grown.
= habitat
[Walkers|Shepherds] watch {m} in {c.habitat}.
{n} lives in {c.habitat}[| in {c.region}].
{ns} home is in {c.habitat}.
One finds {m} in {c.habitat}[|, mostly in {season}].
Look for {m} in {c.habitat}.
{n} makes its home in {c.habitat}[|, {near} {tree.s}].
In {c.habitat} {n} is at home.
= diet
{n} [eats|feeds on|lives on] {c.diet}[|, and in {season} also on {c.diet2}].
{ns} food is {c.diet}[| and {c.diet2}].
{c.s} eat {c.diet}; [in hard winters|when food is scarce] they turn to {c.diet2}.
Nothing pleases {m} more than {c.diet}, which it eats.
What {n} eats is {c.diet}[|, if it can choose].
The food of {m} is {c.diet}.
= habit
{n} {c.habit}.
Unlike [its relatives|most animals of its kind], {n} {c.habit}.
Those who watch {well} may see how {n} {c.habit}.
It is known that {n} {c.habit}, [a habit|something] that {p} [described|noticed] first.
[Strange to say|Oddly enough|As every {folk} knows], {n} {c.habit}.
= young
[Walkers|Children] find {ns} {c.young} in {c.month}[|, usually {c.count} of them].
{n} raises {c.count} {c.young}[| each year], which come in {c.month}.
In {c.month} {n} has {c.count} {c.young}[|, hidden {near} a {tree}].
{n} usually has {c.count} {c.young}, in {c.month}.
{ns} {c.young} appear in {c.month}, {c.count} at a time.
{c.month} is the month of {ns} {c.young}; there are {c.count} of them.
When {c.month} comes, {n} has {c.count} {c.young}.
"""), "book": topics("""
= author
{n} is a {b.genre} by {b.author}[|, printed in {b.year}].
{n} was written by {b.author}[|, a {b.author.trade}].
{b.author} wrote {m}[|, a {b.genre}, in {b.year}| in {b.year}].
The author of {m} is {b.author}[|, a {b.author.trade}].
{n} is [the|perhaps the] [best-known|finest|strangest] work of {b.author}.
It was {b.author} who wrote {m}[| in a {room} with {2-5} windows].
{n} came from the pen of {b.author}.
[The name|One name] on the cover of {m} is {b.author}.
= year
[Readers|Libraries] have had {m} since {b.year}.
{n} appeared in {b.year}[|, bound in {colour} {cloth}].
{n} was printed in {b.year}.
In {b.year} {n} was published[| at a price of {2-30} {coin.s}].
The first edition of {m} is dated {b.year}.
{b.year} was the year in which {n} appeared.
{n} dates from {b.year}.
= genre
[Booksellers|Librarians] keep {m} as a {b.genre}.
{n} is a {b.genre}[|; it {b.plot}].
{b}, a {b.genre}, {b.plot}.
The {b.genre} {b} {b.plot}[|, and the end surprises everyone].
As a {b.genre}, {n} [found|won] many readers.
On the shelf {n} stands with every other {b.genre}.
"""), "dish": topics("""
= town
{n} comes from {d.town}[| in {d.town.region}|, where it is eaten {d.when}].
The cooks of {d.town} are proud of {m}[|, made with {d.main}].
{d.town} is the home of {m}.
{n} was first cooked in {d.town}.
It was in {d.town} that {n} was invented.
{n} is the dish of {d.town}[|, {d.town.kind} on the {d.town.river}].
= main
[Take|Buy] {d.main} if you want to make {m}.
{n} is made [of|with] {d.main}[|, and flavoured with {d.spice}].
For {m} one needs {d.main}.
{d.main} go into {m}.
{ns} main ingredients are {d.main}.
Nobody can make {m} without {d.main}.
= spice
{n} is [seasoned|flavoured] with {d.spice}[|, never with {herb}].
The secret of {m} is the {d.spice}[|, which must be [fresh|dried in the shade|added at the very
  end]].
What gives {m} its flavour is {d.spice}.
The spice in {m} is {d.spice}.
Without {d.spice}, {n} would be dull.
= taste
[Guests|Cooks|Travellers] say that {n} tastes {d.taste}.
[Good|Real] {d} tastes {d.taste}.
{n} tastes {d.taste}.
The taste of {m} is {d.taste}.
{n} should taste {d.taste}[|, and a little of {smell}].
{d.taste}: so {n} tastes.
= season
{n} is eaten {d.when}, [usually|mostly] in {d.season}.
In {d.season} [every|almost every] inn in {d.town} serves {m}[| with {drink}].
The season for {m} is {d.season}.
{n} is best in {d.season}[|, and it is eaten {d.when}].
{d.season} is the time for {m}.
= minutes
[A cook|A good cook] needs {d.minutes} minutes for {m}.
[Plan|Keep] {d.minutes} minutes for {m}.
{n} needs {d.minutes} minutes, [no more|and no less].
It takes {d.minutes} minutes to make {m}[|, and much less to eat].
{n} takes {d.minutes} minutes to cook.
{n} is ready after {d.minutes} minutes.
After {d.minutes} minutes on the fire {n} is done.
"""), "river": topics("""
= region
[One finds|Boatmen find|Travellers meet] the {r} in {r.region}.
[Through|Across] {r.region} [flows|runs] the {r}.
The {r} is a river in {r.region}.
The river {r} crosses {r.region}.
{r.region} is the region of the {r}.
The {r} belongs to {r.region}.
= length
The {r} has a length of {r.length} kilometres.
[Whoever|A boatman who] follows the {r} to its end travels {r.length} kilometres.
On the map the {r} measures {r.length} kilometres[|, with every bend|, if one trusts the surveyors].
The {r} is {r.length} kilometres long.
The length of the {r} is {r.length} kilometres.
From its spring to its mouth the {r} measures {r.length} kilometres.
For {r.length} kilometres the {r} winds through the country.
""")}
