"""The sentences of the pocket world (data only; data/world.py does the telling).

An entry is a line, and an indented line continues the one above. The little grammar inside
  ("[a|b]",
"{fruit.s*3}", "{p.name}") is explained at `say` in data/world.py, which also turns "a" into "an"
  and gives
sentences their capitals. p and q are people, h is the hero of a story and f a friend, t and u are
  towns,
c a creature, d a dish, b a book, i an invention, r a river.
"""
from data.world_words import rows

# ------------------------------------------------------------------------- encyclopedia sentences

PERSON_LEAD = rows("""
{p} ({p.years}) {p.was} a [|{praise} ]{p.trade} [from|of] {p.home}[| in {p.home.region}].
{p}, a {p.trade}[| of {p.home.region}], {p.was} [best known for|remembered for|famous for] {fame}.
{p} ({p.years}), [a|the] {praise} {p.trade}, [worked|learned the craft|made a name] in {p.home}.
The {p.trade} {p} {p.was} [known|remembered] [in {p.home}|far beyond {p.home}|all over
  {p.home.region}] for {fame}.
Few people in {p.home} are [mentioned as often|praised as much|as well known] as {p}, the {p.trade}.
""")
PERSON_BIRTH = rows("""
{p.given} was born in {p.town} in {p.born}[| in a house by the {land}| during a {sky} {season}].
{p} was born in {p.town}[, {p.town.kind} in {p.town.region},|] in [the year |]{p.born}.
Born in {p.town} in {p.born}, {p.he} grew up [above a {building}|beside the {building}|among
  {tree.s}].
{p.family} was born in [the year |]{p.born} in {p.town}, [where|a place where] people make
  {p.town.product}.
{p.His} life began in {p.town} in {p.born}, [not far from|within sight of] {p.town.landmark}.
{p.town} is {p.his} birthplace; the year was {p.born}.
""")
PERSON_PARENTS = rows("""
{p.His} mother, {p.mother}, was a {p.mother.trade}, and {p.his} father, {p.father}, a
  {p.father.trade}.
{p.He} was the child of {p.mother}, a {p.mother.trade}, and {p.father}, a {p.father.trade}.
{p.His} parents were the {p.father.trade} {p.father} and the {p.mother.trade} {p.mother}.
At home {p.he} learned [to be {nature}|{virtue}] from {p.his} mother {p.mother}, a {p.mother.trade}.
""")
PERSON_TRAINING = rows("""
{p.He} learned the trade from {p.teacher}[, a {nature} master|, who was {nature*2}|].
{p.teacher} taught {p.him} [for {2-7} years|how to use a {p.tool}|the first secrets of the craft].
At the age of {11-17} {p.he} [became the apprentice of|was sent to|began to work for] {p.teacher}.
{p.His} teacher was {p.teacher}, [whom {p.he} always praised|with whom {p.he} often quarrelled].
""")
PERSON_WORK = rows("""
As a {p.trade} {p.he} {p.trade.did}[| from dawn to dusk| from morning to night| for {12-40} years|
  in every season].
In {p.his} {p.trade.place} stood a {size} {furniture}, a {cond} {tool} and [always|usually] a {cup}
  of {drink}.
The {p.trade.place} [was|stood] {near} the {building}[|, and its door was never locked].
Visitors [admired|remembered] {p.his} {cond} {p.tool}[, which had belonged to {p.his} {elder}|].
{p.He} {p.trade.did}, [but|and] in the {season} {p.he} also repaired {tool.s} and {furniture.s}.
It {p.was} said that no {p.trade} in {p.home.region} worked more {well}.
{p.He} never sold {p.his} {p.tool}, [although|even when] a {folk} offered {20-90} {coin.s} for it.
The {p.tool} {p.he} used was made of {wood} and {metal}.
""")
PERSON_FAMILY = rows("""
{p.He} married {p.spouse}, a {p.spouse.trade}[| from {p.spouse.town}|, in the {season} of
  {p.wedding}].
In {p.wedding} {p.he} married the {p.spouse.trade} {p.spouse}.
{p.His} {p.partner}, {p.spouse}, {p.spouse.was} a {p.spouse.trade}.
{p.He} shared a {colour} house [with|near the {building} with] {p.spouse}, {p.his} {p.partner}.
""")
PERSON_CHILDREN = rows("""
{p.He} and {p.spouse.given} had {children}.
Together they [had|raised] {children}.
{p.He} taught {children_names} [to {mend} {tool.s}|to swim|to read|the names of the {tree.s}].
""")
PERSON_LIKES = rows("""
[{p.He} {p.was} never tired of {p.hobby}|[In free hours|On Sundays|In the evening|In {season}]
  {p.he} {p.liked} {p.hobby}].
{p.His} favourite [dish|meal|food] {p.was} {p.dish}[|, with a {cup} of {drink}].
Friends described {p.him} as {p.nature}[|, and so did the neighbours|, a word {p.he} did not like|,
  even on bad days].
{p.He} {p.was} a {p.nature} [{p.man} of few words|neighbour|friend]
  who [|{rarely} ]laughed at [{p.his} own jokes|{animal.s}|the weather].
A {animal} [slept|lived] in {p.his} {room}[|, under the {furniture}| and ate {food}].
""")
PERSON_DEATH = rows("""
{p.He} died in {p.died}[| in {p.home}|, at the age of {p.age}|, {p.age} years old].
{p.family} died in {p.home} in {p.died}[|; a {tree} was planted on the grave].
When {p.he} died in {p.died}, [the bells of {p.home} rang|the {building} was closed for {2-6} days].
""")
PERSON_ALIVE = rows("""
Today {p.he} lives in {p.home}[| with a {animal}| near the {building}|, in a house full of
  {tool.s}].
{p.He} still works in {p.home}[| every {day}|, {rarely} after {hour}].
{p.He} is [now |]{p.age} years old and [teaches young people|writes letters to {folk.s}|keeps
  {bird.s}].
""")
PERSON_LEGACY = rows("""
A {way} in {p.home} is named after {p.him}.
{p.His} {paper.s} [are kept|can be seen] in the {building} of {p.home}.
People in {p.home} still [tell|remember|laugh about] the story of the {p.trade} and the {cond}
  {trinket}.
A [small |]statue of {p.him}, made of {stone}, stands {near} the {building}.
[Children|Pupils] in {p.home} learn at school how {p.he} once [saved|lost|found] a {cond}
  {container}.
""")
PERSON_BOOK = rows("""
{p.His} [best-known |]book, {b}, [appeared|was printed] in {b.year}.
In {b.year} {p.he} [published|finished|wrote] {b}, a {b.genre} that {b.plot}.
{p.He} [is|was] also the author of {b} ({b.year}).
""")
PERSON_INVENTION = rows("""
In {i.year} {p.he} [invented|built|showed] the {i}, [made |]for {i.use}.
{p.He} invented the {i} in {i.year}; in it, {i.how}.
The {i} of {i.year} was {p.his} idea[|, and it made {p.him} known as far as {t}].
""")
FAME = rows("""
{p.his} {cond} {p.tool}
{p.his} {virtue}
{p.his} {virtue*2}
the way {p.he} told stories
{p.his} work during the {trouble}
{p.his} love of {animal.s}
{p.his} {colour} {garment}
""")

TOWN_LEAD = rows("""
{t} is {t.kind} in {t.region}[, on the {t.river}|].
{t}, [on the banks of|a place on] the {t.river}, is {t.kind} in {t.region}.
The [|{landish} ]banks of the {t.river} [are home to|carry] {t}, {t.kind} of {t.region}.
In {t.region}, [where the {t.river} bends|beside the {t.river}], lies {t}, {t.kind}.
""")
TOWN_FACTS = rows("""
[It|{t}] was founded in {t.founded}[| by
  [fishermen|shepherds|merchants|miners|monks|pilgrims|soldiers]| after a great {trouble}|, as a
  {paper} in the
  {building} says].
About {t.people} people live [there|in {t}][|, most of them near the {building}].
[It|{t}] is known for {t.product}[|, which it sells as far as {u}|, and has been for {100-300}
  years].
[Its pride is|Visitors come to see|Many people travel there to see|Strangers are always shown]
  {t.landmark}.
""")
TOWN_FESTIVAL = rows("""
[Every|Each] {t.month} the town holds the {t.festival}: {t.custom}.
At the {t.festival} in {t.month}, {t.custom}.
The {t.festival} is celebrated in {t.month}; then {t.custom}.
""")
TOWN_LIFE = rows("""
On {day}s [farmers|traders|pedlars] sell {fruit.s}, {vegetable.s} and {goods} {near} the {building}.
The houses are built of {stone} and {wood}, and [their doors|the shutters] are painted {colour}.
The weather is {t.weather}.
In {season} the smell of {smell} [hangs over|fills] the {way.s}.
{animal.s} [sleep|wander|sit] {near} the {building}, and nobody [minds|chases them away].
The oldest {building} has a roof of [copper|slate|straw|tin|lead|red tiles] and {2-9}
  [windows|chimneys|doors].
A {disaster} in {1720-1890} destroyed the {building} and {20-90} houses[|, but not the {site}].
The school teaches [reading, counting and {subject}|{subject} as well as arithmetic].
[From|Behind] the {building} a {landish} {way} leads [down|up|across the fields] to the {land}.
People [there|in {t}] {rarely} eat {food} with {vegetable.s}[|, and drink {drink} with it].
The [harbour|market|station] opens at {hour} and [smells of {smell}|is never quiet].
[Winters|Summers] are {sky}[|, so most houses have a {size} {furniture} in the {room}].
[Tourists|Strangers] are {rarely} [told|warned] about the {noise} in the old {building}.
A {vessel} [|full of {goods} ]leaves for {u} every {day}.
The best view is from the {land}, [above|beyond|behind] the {tree.s}.
""")
TOWN_PEOPLE = rows("""
The {p.trade} {p} was born in {t} in {p.born}.
{p}, a [|{praise} ]{p.trade}, was born in {t}.
One of its [sons and daughters|children], the {p.trade} {p}, was born in {t} in {p.born}.
""")
TOWN_DISH = rows("""
[A local dish|The dish of the town] is {d}, which tastes {d.taste}.
The inns serve {d}[|, most of all in {d.season}].
{d} comes from {t}[| and is eaten {d.when}].
""")

CREATURE_LEAD = rows("""
The {c} is a {c.kind} [found|that lives] in the {c.habitat} of {c.region}.
[In the|Among the] {c.habitat} of {c.region} lives the {c}, a {c.colour} {c.kind}.
The {c} is a {c.kind} with {c.colour} {c.cover}[|, known only from {c.region}].
""")
CREATURE_SIZE = rows("""
It [grows to|reaches] a length of [about |]{c.size} centimetres.
An adult {c} is [about |]{c.size} centimetres long[|, a young one hardly half of that].
It can be told by its {c.colour} {c.cover}[|, a little paler in {season}].
""")
CREATURE_DIET = rows("""
It [eats|feeds on|lives on] {c.diet}[|, and in {season} also on {c.diet2}].
Its food [is|consists of] {c.diet} and {c.diet2}.
{c.s} eat {c.diet}; [in hard winters|when food is scarce] they turn to {c.diet2}.
""")
CREATURE_HABIT = rows("""
The {c} {c.habit}.
Unlike [its relatives|most animals of its kind], it {c.habit}.
Those who watch {well} may see how it {c.habit}.
It {c.habit}, [a habit|something] that {p} [described|noticed] first.
""")
CREATURE_YOUNG = rows("""
In {c.month} [the female has|one finds] {c.count} {c.young}[|, hidden {near} a {tree}].
There are [usually |]{c.count} {c.young} in {c.month}.
The {c.young} appear in {c.month}, {c.count} at a time.
""")
CREATURE_LORE = rows("""
In {t} people say that a {c} {near} the house brings {virtue}.
[Farmers|Shepherds|Fishermen] near {t} [like|love|protect|welcome] it because it keeps away
  [mice|flies|slugs|bad dreams].
The name comes from an old word for {noise} or for {smell}.
A {folk} from {t} once kept a {c} in a {container}[|; it escaped after {2-9} days].
It [hides|sleeps] {near} {tree.s}, and its enemies are the {hunter} and the {raptor}.
The {p.trade} {p} [drew|painted|studied] it [|{well} ]for many years.
There is a {c} on the coat of arms of {t}.
It is [rare|common|protected] today[|, because so many {land.s} have been drained].
Its voice sounds like [a {noise} {tool}|a {cond} {instrument}|a door that needs oil].
""")

BOOK_LEAD = rows("""
{b} is a {b.genre} by {b.author}[|, printed in {b.year}].
In {b.year} the {b.author.trade} {b.author} published the {b.genre} {b}.
{b} is [the|perhaps the] [best-known|finest|strangest] work of {b.author}, a {b.author.trade} from
  {b.author.town}.
{b.author} wrote {b}, a {b.genre}, in {b.year}.
""")
BOOK_MORE = rows("""
It {b.plot}.
The {b.genre} {b.plot}[|, and the end surprises everyone].
It was written in {b.author.home}[|, in a {room} with {2-5} windows|, mostly {near} a {furniture}].
The first edition was bound in {colour} {cloth} and cost {2-30} {coin.s}.
Only {3-90} copies of the first edition [are left|survive]; one is in the {building} of {t}.
[Readers|Critics|Teachers] praised its {virtue}[|, but not its length].
A {folk} in {t} [complained|said] that it had too many {animal.s} and too little {virtue}.
One chapter [describes|explains] how to {mend} a {tool}.
The pictures show {bird.s}, {flower.s} and [a very {nature} {beast}|a {cond} {building}].
It was read aloud in {t} every {season} for many years.
The [last|first] sentence [mentions|is about] a {cond} {trinket}.
It [has been|was soon] translated into {2-14} languages.
The book is dedicated to {p}[ and to everyone who has {virtue}|, in thanks for {2-9} {container.s}
  of {fruit.s}|, who never read it].
Many children are called after its {nature} hero.
""")

DISH_LEAD = rows("""
{d} is a {d.method} from {d.town} in {d.town.region}.
{d} comes from {d.town}[|, where it is eaten {d.when}].
The cooks of {d.town} are proud of {d}, a {d.method} made with {d.main}.
""")
DISH_MORE = rows("""
It is made [of|with] {d.main}, [seasoned|flavoured] with {d.spice}[|, never with {herb}].
[It tastes|The taste is|Its taste is] {d.taste}.
It is eaten {d.when}, [usually|mostly] in {d.season}.
In {d.season} [every|almost every] inn in {d.town} serves it[| with {drink}|, in a {cond}
  {container}].
The secret is the {d.spice}, which must be [fresh|dried in the shade|added at the very end].
It takes {d.minutes} minutes to make[|, and much less to eat].
Some add {herb}, [others|but the old cooks prefer] {spice}.
A {folk} is said to have [invented|discovered] it during the {trouble} of {1700-1890}.
{p} [wrote|said] that no {food} could compare with it.
In {t} they make it with {fruit.s} instead, [which|and this] leads to quarrels.
[Guests|Visitors] get it in a bowl of {colour} {stone}.
It goes well with {food} and {drink}.
""")

RIVER_TEXT = rows("""
The {r} is a river in {r.region}, {r.length} kilometres long.
It rises in a {landish} {land} near {first} and flows [past|through] {places}.
In {season} its water is {colour}[| with clay|, and cold enough to hurt the {limb.s}].
Near {t}, [|old ]{tree.s*2} stand on both banks.
{vessel.s} [carry|bring] {goods*2} down the {r}.
[Anglers|Fishermen] catch trout and eels there, {rarely} before {hour}.
A bridge of {stone} crosses it at {first}[|; it has {3-12} arches].
In {1750-1940} the {r} flooded {20-300} houses and a {building}.
The {c} lives in the {c.habitat} of the same region.
Children learn to swim [under|near] the {building} of {t}.
A {landish} [path|road|towpath|track] follows the river for {5-60} kilometres.
An old song calls the {r} the {kin} of {r.region}.
""")

# ------------------------------------------------------------------------------------------- news

# Each event: headlines, first sentences, details. p and q are people, t and u towns, n a number.
NEWS = [
    (rows("""
{disaster} hits {t}
{t} after the {disaster}
Hundreds help after {disaster} in {t}"""), rows("""
A {disaster} [struck|reached|surprised] {t} [on {day} evening|before dawn on {day}|late on {day}].
After [two days|a night|a week] of {sky} weather, a {disaster} damaged {n} houses in {t}."""),
  rows("""
The roof of the {building} was [damaged|lost|torn open], but [nobody|no one] was [seriously |]hurt.
Families spent the night in the {building}, where {p} served {food} and {drink}.
The {way} to {u} is closed [until {day}|for {2-9} days|while workers clear the {tree.s}].
{2-40} {animal.s} were brought to safety by {vessel}.
The {t.river} [rose|fell] by {20-190} centimetres [in one night|within hours].
Neighbours arrived with {tool.s}, {tool.s} and {food}.""")),
    (rows("""
{t} gets a new {building}
New {building} for {t}
{building} opens in {t}"""), rows("""
[After {2-9} years of work|Earlier than planned|On {day}], a new {building} was opened in {t}.
{t} has a new {building}[|, built of {stone} and {wood}| at last]."""), rows("""
It cost {n} thousand {coin.s}, [a third|half|most] of which was given by {folk.s*2}.
The door is {colour}, the roof is of {metal}, and there is room for {30-400} visitors.
{p}, who cut the ribbon, [wore|forgot] a {colour} {garment}.
The old {building} [will become|is to be turned into] a {site}.
A {furniture} from the old {building} stands in the hall.
Children sang and [the mayor|a {folk}] played the {instrument}.""")),
    (rows("""
{c} seen near {t}
Rare {c} returns to {region}
Young {c.s} counted near {t}"""), rows("""
A {c}, [a rare guest|not seen for {5-40} years], was [watched|seen|photographed] near {t} [on|last]
  {day}.
[Pupils|Walkers|Two {folk.s}] from {t} have [found|counted] {2-60} {c.s} in the {land} [near|above]
  the town."""),
     rows("""
The {c}, a {c.kind}, lives in the {c.habitat} of {region}.
It [feeds on|eats] {c.diet}, {p} explained, and {c.habit}.
[Visitors|Walkers] are asked to stay on the {way} and to keep {animal.s} on a rope.
In {c.month} there may be {c.count} {c.young}.
A {folk} had [first taken|mistaken] it for a {animal}.
The {land} will be protected from {month} on.""")),
    (rows("""
{festival} draws crowds to {t}
{t} celebrates the {festival}
{sky} weather at the {festival}"""), rows("""
Thousands came to {t} for the {festival} [on {day}|this week|at the end of {t.month}].
The {festival} in {t} [began|ended] on {day} with music and {food}."""), rows("""
As every year in {t.month}, {t.custom}.
The first prize, a {metal} {trinket}, went to {p}, a {p.trade}.
There were stalls with {fruit.s}, {goods} and {food}.
{p} played the {instrument} until {hour}.
A {animal} [stole|ate] the {bake} of the mayor[, to the joy of the children|].
Next year the {festival} will have {2-9} more {vehicle.s} and a {instrument} band.""")),
    (rows("""
{u} loses to {t} in boat race
{t} wins the {t.river} cup
Close race on the {t.river}"""), rows("""
By {2-9} lengths, the rowers of {t} beat {u} on the {t.river} on {day}.
In {sky} weather cheered by {n} people, {t} won the race against {u}."""), rows("""
{p}, who steered, lost a {garment} but not {p.his} temper.
The {vessel} of {u} [hit|touched] a {tree} that was drifting in the water.
It was the {ordinal} victory for {t} in {5-20} years.
"We [rowed|trained] every morning before {hour}," said {p}.
The prize was a {cup} of {drink} and a {metal} {trinket}.
In the break a {instrument} band played for the crowd.""")),
    (rows("""
Price of {goods} [rises|falls] in {t}
{t} market: {goods} dearer, {fruit.s} cheap
Good year for {fruit.s} in {region}"""), rows("""
A {container} of {fruit.s} cost {3-19} {coin.s} at the market of {t} on {day}[|, {1-3} more than
  last week].
Traders in {t} report a [good|poor|surprising] year for {fruit.s} and {vegetable.s}."""), rows("""
The [dry|wet|late|early] {season} is [the reason|to blame], says {p}.
{goods*2} from {u} sold [well|badly|before noon].
[Farmers|Growers] have picked {20-900} baskets of {fruit.s} since {month}.
A {folk} bought {2-20} {tool.s} and a {animal}.
The {vegetable.s} are [smaller|bigger] than last year, but taste {taste}.
{t} is known for {t.product}, which kept its price.""")),
    (rows("""
{cond} {trinket} found in {t}
Workers find {container} under {building}
Puzzle of the {cond} {container}"""), rows("""
While digging {near} the {building} of {t}, workers found a {container} with {2-90} {trinket.s} in
  it.
A {folk} has found a {metal} {trinket}, [probably|perhaps] from {1500-1800}, in the {room} of a
  house in {t}."""), rows("""
{p}, a {p.trade}, was [asked|called] to [look at|examine] the {trinket.s}.
The {container} was wrapped in {cloth} and smelled of {smell}.
Beside it lay a {cond} {tool} and the bones of a {animal}.
[A {paper} in {t}|The museum in {u}] may [explain|tell] who hid it.
It will be shown in the {building} from {month} on.
Nobody knows [why|when] it was hidden there[|, but children have {3-9} explanations].""")),
    (rows("""
{p} receives honour in {t}
Medal for {p}
{t} thanks {p}"""), rows("""
The {p.trade} {p}[|, born in {p.town} in {p.born},] received [a medal|the freedom of the town] in
  {t} on {day}.
On {day} {t} thanked {p}, who is a {p.trade} in {p.home}, for {20-50} years of work."""), rows("""
"I only did what a {p.trade} has to do," said {p.given}.
The choir sang, and everybody had {food} with {drink}.
{p.He} {p.trade.does}, and {p.likes} {p.hobby}.
The speech of the mayor [lasted|took] {20-90} minutes and mentioned {virtue} {3-12} times.
A {kin} of {p.given} {gesture.ed} and wiped a tear from the eye.
The {p.tool} will be given to the museum one day, {p.he} {speak.ed}.""")),
    (rows("""
Missing {animal} comes home to {t}
{animal} travels from {t} to {u}
Odd traveller on the {vehicle} to {u}"""), rows("""
A {animal} that disappeared in {t} in {month} came back on {day}[, {nature} as ever|, thinner but
  well|].
Passengers on the {vehicle} from {t} to {u} found a {animal} under a {furniture} on {day}."""),
  rows("""
It belongs to {p}, who had looked for it [everywhere|for {2-9} weeks|in every {building}].
It [wore|carried] a {colour} ribbon and seemed {mood}.
A {folk} fed it with {food} and {fruit.s}.
It had crossed the {t.river} and a {landish} {land}.
"I knew the [eyes|voice] at once," {p.given} {speak.ed}.
The {animal} is now [asleep|resting] on a {nest}.""")),
    (rows("""
School in {t} studies {subject}
Pupils of {t} [learn outdoors|ask questions]
{subject}: the pupils of {t} find out"""), rows("""
The pupils of {t} have used the {season} to [study|understand|write a book about] {subject}.
In the school of {t}, {20-90} children [are learning|learn] {subject} with {tool.s} and
  {container.s}."""), rows("""
Their teacher {p} calls it a lesson in {virtue}.
They counted {n} {bug.s}, {n2} {bird.s} and one {beast}.
Each child wrote a {paper} about a {tree}.
"First [we made|there were] mistakes, then [we made|there were] fewer," said a pupil.
On {day} the parents may [see|try] everything in the {building}.
The best {paper} will be printed in {u}.""")),
]
NEWS_END = rows("""
More [is expected|will be known] on {day}.
The council of {t} will [meet|talk about it|decide] on {day}.
[Readers|Anyone] who can help should write to the {site} of {t}.
For {day}, {sky} weather is expected.
The last word belonged to a {folk}: "It could have been worse."
{p} promised to [come|try] again next year.
""")
QUOTES = rows("""
We have seen worse, and we have {food}
I have never seen so many {animal.s} in one {building}
It smelled of {smell}, and then it was quiet
Without {virtue} nothing of this would have been possible
Next time I shall bring a {tool} and a {size} {container}
My {elder} always told me to look {near} the {furniture}
It is a good day for everybody who likes {subject}
You cannot learn {virtue} from a book
Nobody believed me, not even my own {kin}
We shall need {tool.s}, {drink} and a little {virtue}
People will talk about it for years
There was more {noise} than at any fair
A {nature} {folk} is worth more than ten {nature} ones
""")

# ------------------------------------------------------------------------------ letters and diaries

GREETINGS = rows("""
Dear {q.given}
My dear {q.given}
Dear old friend
Dear {q.given} and everyone at home
Dearest {q.given}
""")
LETTER_OPEN = rows("""
Thank you for [your letter|the {container} of {food}|the {colour} {garment}], which [came|arrived]
  on {day}.
I am writing [at|from] the {furniture} in my {room}[|, and outside it is {sky}].
It is {sky} here in {t}, and [at last|for once] I have time to write.
You asked [how I live|what I do all day|about {t}], so here is [an honest|a long|a short] answer.
Forgive me that I have not written since {month}; [I was ill|there was so much to do|I lost your
  address].
[Two|Three|Four] {bird.s} are sitting [outside|in front of|below] my window, and they make me think
  of you.
""")
LETTER_NEWS = rows("""
On {day} I went to the {building} and {look.ed} at the {cond} {tool.s}.
My {kin} has bought a {vehicle}, [although|but] nobody in the family can drive it.
The {fruit.s} are ripe, and we have made {2-30} jars of jam.
I have [started|learned] to {mend} {furniture.s}, and my {limb} hurts.
{p}, the {p.trade}, [visited|helped] us and stayed for {food} and {drink}.
We saw a {c} near the {land}; it really {c.habit}.
I am reading {b} by {b.author}, and I {love} it [more|less] than I expected.
The {t.festival} was [wonderful|loud|as {sky} as ever]: {t.custom}.
Yesterday a {animal} ran through the {room} and broke a {container}.
My {kin} and my {kin} have quarrelled about a {trinket}, and I try to stay [calm|polite|out of it].
I have lost my {trinket}; if you find it {near} your {furniture}, please [send it|keep it safe].
At the market I paid {2-19} {coin.s} for a {garment} of {cloth}, which was too much.
The new {folk} next door plays the {instrument} [from {hour} on|every night|surprisingly well].
I cooked {d}, and it tasted [almost |]as {taste} as at home.
Last night there was a {noise} sound in the {room}, but it was only the {animal}.
The {tree} {near} the house fell in the storm, and now the {room} is full of light.
I walked along the {t.river} until {hour} and thought about {subject}.
My {limb} is better, and the doctor is [content|hopeful|surprised].
The children have built a {toy} out of {wood} and {cloth}.
I dreamed that I was a {beast} and lived in a {container}.
We have a new {animal}, {size} and [lazy|shy|friendly|clever|wild|noisy]; it sleeps on the {nest}.
I am learning to play the {instrument}, and the neighbours are [kind|patient|very polite|cross]
  about it.
There is a rumour that the {building} will be sold to a {folk} from {u}.
I planted {flower.s}, {flower.s} and one {tree}.
""")
LETTER_ASK = rows("""
How is your {kin}, and does the {animal} still sleep on the {nest}?
Have you finished the {garment}, or did you run out of {cloth}?
Could you send me [the recipe for {d}|a little {spice}|{2-9} {tool.s}]?
Is it true that {p} has moved to {u}?
When will you come? In {month} the {land} is full of {flower.s}.
Do you remember the {cond} {vessel} and the day we fell into the {t.river}?
Please bring your {instrument}; mine is broken.
Tell me [everything|more] about the {trouble} and the {building}.
""")
LETTER_END = rows("""
Stay [well|healthy|cheerful], and write soon.
I must stop now, because the {drink} is getting cold.
The post leaves at {hour}, so I shall close.
With this I send you a pressed {flower} and all good wishes.
My {kin} sends you greetings, and so does the {animal}.
""")
SIGNED = ["Yours", "With love", "Your friend", "As ever", "Warm greetings", "Yours truly", "Always"]
DIARY_OPEN = rows("""
{sky} since {hour}.
A {sky} day.
Woke at {hour} because of a {noise} noise.
[Slept badly|Slept well|Dreamed of {animal.s}].
Up before {hour}; {drink} and {food}.
""")
DIARY_END = rows("""
Tomorrow I must {mend} the {tool}.
[Tired|{mood}] now; the candle is nearly finished.
Note to myself: more {virtue}, less {food}.
I shall sleep well tonight.
Perhaps tomorrow will be less {sky}.
Spent today: {2-30} {coin.s}.
""")

# ------------------------------------------------------------------------------------------ forum

# title | question | answers
PROBLEMS = [tuple(part.strip() for part in row.split("|")) for row in """
My bread does not rise | I wait for hours and the dough stays flat. | Your water may be too hot,
  and heat
  kills the yeast. | Put the bowl in a warmer place, near the stove but not on it. | How old is
  your yeast? Stir a
  spoonful into warm water with sugar; if there is no foam, buy new yeast. | Too much salt slows it
  down.
A door that sticks in winter | It closes easily in summer and not at all when it rains. | Wood
  swells when the
  air is damp. Plane a little off the edge. | Rub the edge with a candle; wax helps it slide. |
  Wait for a dry week
  and then paint it, so that the water stays out. | Check the hinges first, a loose screw lets the
  door hang.
Leaves of my tomatoes turn yellow | Only the lower leaves, but more every day. | Do you water too
  much? Roots need
  air as well. | Old leaves turn yellow when nitrogen is missing; give them compost. | Let the soil
  dry a finger
  deep before you water again. | Pick off the yellow leaves, so that no fungus can spread.
A clock that runs slow | It loses about five minutes a day. | A pendulum that is too long swings
  too slowly. Raise
  the weight a little. | Dust in the oil is the usual reason; have it cleaned. | In summer metal
  grows longer,
  therefore many clocks lose time. | Does it stand level? Put a coin under one side and listen to
  the beat.
How do I keep mice out of the larder? | They have found the oats again. | Close every hole wider
  than a pencil.
  | Keep oats and flour in tins or jars, because mice chew through sacks. | Get a cat, or borrow
  one. | Do not leave
  crumbs on the floor at night.
Knife will not stay sharp | I sharpen it and a week later it is blunt. | Never cut on stone or
  glass; wood is kinder
  to the edge. | Your angle may be too narrow. Raise the back of the blade a little. | Finish on a
  leather strap to
  remove the burr. | Do not throw it into a drawer with the spoons.
Is rain water good for plants? | My aunt swears by it. | Yes, it contains little lime, and most
  plants like that.
  | Collect it in a barrel with a lid, otherwise mosquitoes lay their eggs in it. | It is as warm
  as the air, so the
  roots do not get a shock. | After a long dry time, let the first rain wash the roof.
My fiddle sounds dull | It was bright last year. | Old strings lose their voice; change them. |
  Wipe off the dust of
  the rosin after playing. | Damp air makes the wood heavy, so keep it in a dry room. | Let
  somebody check whether the
  bridge stands straight.
How do I learn to swim as an adult? | I am afraid of deep water. | Start where you can stand, and
  learn to breathe
  out under water. | Float on your back first; the body carries itself better than you believe. |
  Go with a patient
  friend, never alone. | Short lessons every day are better than a long one every month.
Milk boils over again and again | I look away once and it happens. | Rinse the pan with cold water
  before you pour
  in the milk, so it will not burn. | Lay a wooden spoon across the pan; it breaks the bubbles. |
  Use a bigger pan and
  a smaller flame. | The skin traps the steam, so keep stirring.
Which wood burns longest? | I have a small stove and a cold house. | Oak and beech burn slowly,
  pine burns fast.
  | Whatever you take, dry it for two years. | Wet wood wastes its heat on boiling away the water.
  | Pine is good for
  lighting the fire, because of the resin.
Cannot fall asleep | I lie awake and count the hours. | Get up at the same time every day, even on
  Sundays. | No coffee
  after noon. | A dark and cool room helps more than a soft pillow. | Write your worries on paper
  and leave them there.
How can I remember names? | I forget them at once. | Say the name aloud when you hear it. | Link it
  to a picture,
  the sillier the better. | Write down three names every evening. | Ask again; nobody is offended
  by an honest question.
Ink stain on a white shirt | It happened an hour ago. | Do not rub; press a cloth on it to draw out
  the ink. | Milk
  helps with fresh ink, soak it overnight. | Lemon juice and salt, and then sunshine. | Test any
  cure on the hem first.
The well smells bad | The water was clear before. | Do not drink it before somebody has tested it.
  | Look whether
  leaves or an animal have fallen in. | Boil the water in the meantime. | A cover would have
  prevented it.
Teaching a puppy to come | It hears me and runs away. | Reward it every time it comes, even when it
  comes late.
  | Never call it to scold it. | Practise indoors first, where there is nothing more exciting than
  you. | Run away from
  it, and it will follow.
Boots that leak | I bought them a year ago and the seams are wet. | Rub warm wax into the seams. |
  Dry them slowly, stuffed
  with paper, never beside the fire. | A shoemaker can sew them again for little money. | Grease
  keeps leather soft, so
  it does not crack.
Why is my soup too salty, and can I save it? | Guests come in an hour. | Add water and more
  vegetables. | Cook a peeled
  potato in it; it does not drink the salt, but it stretches the soup. | A spoon of cream softens
  the taste.
  | Next time add the salt at the end.
Starting with bees | I have a garden and no experience. | Spend one season helping a beekeeper
  before you buy a hive.
  | Put the hive where the morning sun reaches it. | Move slowly and they will be slow as well. |
  Leave them enough
  honey for the winter.
How to read a map? | I turn it round and round. | Lay it so that north on the map points to the
  north. | Find two things
  you can see, such as a tower and a bridge, and look for them on paper. | Where the lines of
  height are close together, the
  slope is steep. | Check the scale before you promise to be home for supper.
""".replace("\n  ", " ").strip().splitlines()]
REPLIES_FIRST = rows("""
[I had the same problem|The same happened to me] [last {season}|with my {kin}|in {t}].
Welcome! {nature} question.
[My {elder}, a {p.trade}, always said|An old {folk} told me]:
I am only a {folk}, but [listen|here is my view].
Do not [worry|give up|buy a new one].
[Easy|Good question|Hello from {t}].
It [depends|took me {2-9} years to understand this].
""")
REPLIES_THANKS = rows("""
Thank you all! I [tried it|did as you said] [on {day}|at once], and it [works|worked|helped].
Thanks. It is not perfect, but I am {mood} with it.
You are wonderful. A {cup} of {drink} for everybody!
I [tried|followed] the [first|second|last] answer. My {kin} is {mood} again.
Solved! I would never have thought of that.
It helped [a little|more than I expected]. I shall [write again|report] in {month}.
""")
FORUM_CHAT = rows("""
This is the best thread about {subject} [this week|I have read].
Off topic: does anybody sell a {cond} {tool}?
My {animal} agrees.
[Be {nature}|Please stay polite], everyone.
In {u} we do it in the same way.
I would add a {tool} and some {virtue}.
Same here.
""")

# ------------------------------------------------------------------------------------------ stories

OPENINGS = rows("""
[Once|One {season}|Long ago], {h.given}, a {h.nature} {h.trade}, lived [in|near] {t}.
In {t}, {near} the {building}, lived a {h.trade} called {h.given}.
[Every {day}|Every morning at {hour}] {h.given} {move.ed} [along|down] the {way} to the {h.place}.
It was a {sky} {day} in {month}, and {h.given} was {mood}.
There [was once|lived] a {h.nature} {h.trade} in {t}, [and {h.his} name was {h.given}|whose name
  was {h.given}|called {h.given}].
The {h.place} of {h.given} [stood|was] at the end of a {landish} {way} in {t}.
{h.given} [was a {h.trade} in {t}|worked in the {h.place}] and had never been further than {u}.
When {h.given} was {8-12} years old, {h.his} {kin} moved to {t}.
People in {t} said that {h.given} was the most {nature} {h.trade} in {t.region}.
The {season} had come to {t}, and in the {h.place} {h.given} was {mood}.
""")
SCENES = rows("""
Outside, a {bird} {call.ed} in the {tree}.
The {room} smelled of {smell*2}.
On the {furniture} stood a {cond} {container}, a {tool} and {2-9} {fruit.s}.
{flower.s} {grow.ed} {near} the {building}.
The wind {weather_do.ed} the {tree.s}[|, and somewhere a {instrument} was playing].
A {animal} {look.ed} at {h.him} from the {nest}.
It was {sky}, and the {way.s} of {t} were [empty|wet|full of {folk.s}].
In the {room} hung {garment.s} of {cloth}, {colour*2}.
The {t.river} was [high|low|calm|full of {vessel.s}].
A {vehicle} with {goods} rolled past the {building}.
Two {folk.s} were [arguing about|talking about|selling] {goods}.
Somebody had painted a {bird} on the door of the {building}.
There was a plate of {food} on the table and {drink} in the {cup}.
From the {land} came the smell of {smell}.
The {hour} light made the {stone} look {colour}.
A {kin} was calling somebody to [supper|breakfast].
{h.given} wore a {colour} {garment} and [a {cond} {garment}|only one {garment}].
Beyond the {tree.s} one could see the {land} and a {landish} {land}.
{bug.s*2} hummed above the {flower.s}.
The {building} [looked|seemed] smaller than before.
""")
FEELINGS = rows("""
{h.given} felt {low}[| and a little {low}].
{h.He} was {low}, but {h.he} did not [show|say] it.
{h.He} [sighed|shook {h.his} head|bit {h.his} lip|wiped {h.his} eyes] and {look.ed} at the
  {furniture}.
{h.His} {limb.s} were cold, and {h.his} heart beat fast.
"[A little {virtue}|Only {virtue}|Now {virtue}]," {h.he} told {h.himself}.
{h.He} thought of {h.his} {kin}, who had [never|always] been {low}.
For a while {h.he} could not [move|speak|think].
{h.He} sat down {near} a {tree} and [sighed|closed {h.his} eyes|held {h.his} breath].
That night {h.he} did not sleep; {h.he} counted {animal.s} until {hour}.
{h.He} wanted to [go home|cry|hide|run away|ask somebody], but instead {h.he} ate a {bake}.
""")
MEETING = rows("""
[Then|At the {building}|{near} the {building}] {h.he} met {f.given}, a {f.trade}[| with a {colour}
  {garment}].
{h.His} friend {f.given}, the {f.trade}, was [just |]{mend.ing} a {tool}.
{f.given}, a {f.nature} {f.trade} from {f.home}, came by with a {container}.
[Luckily|As it happened], {f.given} the {f.trade} was in the {building} that day.
So {h.given} went to {f.given}, a {f.trade}, who knew [everything|something] about {subject}.
""")
ASKS = rows("""
[Why do you look so {mood}|What has happened|What is the matter|Are you {mood}]?
[Have you eaten|May I sit down|Do you have time|Is that your {container}]?
[Who told you that|What did the {folk} say|Since when]?
[Where have you looked|What have you tried|What do you need]?
""")
ADVICE = rows("""
[Let us|We should] begin with what we have: a {tool}, a {container} and {virtue}.
My {elder} used to say that {virtue} is worth more than {goods}.
You need {food} first and a plan afterwards.
Take my {cond} {tool}; I [never|hardly ever] use it.
I would go to the {land} before {hour}.
Two {limb.s} are good, four are better.
Ask the {folk} {near} the {site}; nobody in {t} sees more.
It will not be easy, but it will be a good story.
I was {mood} too, when I was your age.
Wait until {day}. Things look different in {sky} weather.
""")
JOURNEYS = rows("""
They {move.ed} through the {land} and past a {landish} {land}.
The {way} led {h.him} past a {site}, a {land} and {2-9} {tree.s}.
{h.He} took a {vehicle} as far as the {land} and {move.ed} the rest of the way.
For {2-5} hours {h.he} {move.ed} {manner}, with only {food} in {h.his} [bag|basket|pocket|satchel].
At the {land} {h.he} rested, drank some {drink} and {mend.ed} a {garment}.
{h.He} {mend.ed} the {tool}, {mend.ed} the {container} and set out {manner}.
""")
CLOSINGS = rows("""
From that day on, [nobody in {t} laughed at|everyone in {t} greeted] {h.given}.
{h.given} [kept|hung] the {tool} {near} the {furniture}, where everyone could see it.
"[It was|That was] nothing," said {h.given}, but {h.he} was {glad}.
And if you go to {t}, you can still see the {building} where it happened.
They ate {food} and {bake.s} until {hour}.
That evening {h.given} {mend.ed} the {garment} and [smiled|laughed|nodded|grinned|hummed a song].
In the {season} {h.he} told the story to every {folk} who came to the {h.place}.
{h.He} had learned that {virtue} is often more useful than {goods}.
{f.given} said nothing, but {f.he} [smiled|laughed|nodded|grinned] {tone}.
Since then there has always been a {cup} of {drink} on the {furniture} for [strangers|{f.given}].
""")

# A plot: titles; the want; the obstacle; attempts; the turn; the outcome; things said about it.
PLOTS = [
    (rows("""
The Lost {x}
{h.given} and the {x}
Where Is the {x}?"""), rows("""
[Above all|More than anything] {h.he} loved a {cond} {x}, a present from {h.his} {elder}.
{h.He} owned one precious thing: a {cond} {x} that [had belonged|belonged] to {h.his} {elder}."""),
  rows("""
One morning the {x} was gone. [It was not|Nobody had seen it] in the {container} where it always
  lay.
But on {day}, when {h.he} came home from the {building}, the {x} had disappeared."""), rows("""
{h.He} searched the {room} and looked into every {container}, but found only a {trinket}.
{h.He} asked {2-9} {folk.s}, and all of them shook their heads.
{h.He} drew a picture of the {x} and hung it on the door of the {building}.
{h.He} [crept|looked] under the {furniture}, where there was nothing but dust and a {toy}.
Step by step, {h.he} walked the whole way back to the {land}."""), rows("""
Then {h.he} heard a {noise} sound: a {bird} was carrying something that shone to its nest in the
  {tree}.
In the end {h.he} put on the {garment} again, and there, in the lining, was something hard."""),
  rows("""
It was the {x}, [a little broken|dirty but whole]. {h.given} laughed until {h.he} had to sit down.
There lay the {x}. {h.He} gave the {folk} a {bake} and never let it out of {h.his} sight
  again."""), rows("""
I have lost my {x}
The {x} cannot have walked away
Think of the last place where you held it""")),
    (rows("""
A Present for {f.given}
The {x} for the {festival}
What {h.given} Made"""), rows("""
The {festival} was near, and {h.he} wanted to make a {x} for {f.given}.
{f.given} had a birthday in {month}, and {h.given} had decided to make a {x}."""), rows("""
But {h.he} had only {2-9} {coin.s}, and a {x} needs {material} and {cloth}.
But {h.he} was all thumbs: the {material} broke, the {cloth} tore, and the glue stuck to {h.his}
  {limb.s}."""), rows("""
{h.He} sold {fruit.s} {near} the {building}, but it rained and nobody came.
{h.He} tried to carve one out of {wood}; it looked like a {animal}.
{h.He} borrowed a {tool} from a {folk} and broke it on the first day.
{h.He} worked until {hour}, and a {animal} ate [half of it|the best piece].
{h.He} asked a {folk} for {material}, and in return {h.he} had to {mend} {2-9} {container.s}."""),
  rows("""
On the last evening {h.he} looked at {h.his} own {cond} {garment}, cut it up, and began once more.
Then {h.his} {elder} showed {h.him} how to hold the {tool}, and [slowly|suddenly] the work went
  well."""), rows("""
The {x} was crooked, but {f.given} {gesture.ed} and said it was the best present of all.
When {f.given} opened the {container} and saw the {x}, nobody spoke. Then {f.he} put it {near} the
  window, where it still is."""), rows("""
It should be a surprise
A present does not have to be perfect
I have never made a {x} before""")),
    (rows("""
The Bridge at {t}
The Message
{h.given} Carries a {paper}"""), rows("""
{h.given} had to bring a {paper} to {u} before {hour}, because [a life|a wedding|the harvest]
  depended on it.
The doctor gave {h.him} a {paper} for {u} and told {h.him} to hurry."""), rows("""
But the {t.river} had risen in the night, and the bridge was gone.
But after the {disaster} the only {way} to {u} lay under water."""), rows("""
{h.He} called for the ferry, but the wind carried {h.his} voice away.
{h.He} pushed a {furniture} into the water and sat on it; it sank like a stone.
{h.He} walked upstream to the {land}, where the water is shallow, but it was not shallow any more.
{h.He} tied a rope to a {tree}, and the rope broke.
{h.He} asked a {folk} for a {vessel}, but it had a hole as big as a {container}."""), rows("""
Then {h.he} saw the {animal.s}: every evening they crossed where the old wall lay under the water.
  {h.He} followed them.
Then {f.given} came with a {vehicle} full of {container.s}. They tied them together and made a
  raft."""), rows("""
{h.He} arrived in {u} wet to the skin, with the {paper} dry under {h.his} {garment}.
The {paper} arrived in time, and {h.given} slept for {12-19} hours in the {room} of a {folk}."""),
  rows("""
The {paper} must be in {u} today
Water is stronger than you
There is always a second way across""")),
    (rows("""
The Great {bake} Contest
{h.given} Wants to Win
The {metal} {trinket}"""), rows("""
At the {festival} there was a prize, a {metal} {trinket}, for the best {bake}, and {h.given} wanted
  to win it.
Every {season} the cooks of {t} held a contest, and this time {h.given} wanted to show them a
  {bake} with {fruit.s}."""), rows("""
But {f.given} had won {3-9} times and was very sure of {f.himself}.
But the oven smoked, and the first {bake} was as hard as {stone}."""), rows("""
{h.He} tried {spice}; the neighbours coughed for an hour.
{h.He} took {2-9} eggs instead of one, and it ran over the {furniture}.
{h.He} read {2-9} cookery books from beginning to end and became only hungry.
{h.He} mixed salt with sugar, because the {container.s} looked alike.
{h.He} baked all night, and at {hour} a {animal} stole the result."""), rows("""
An hour before the contest {f.given} dropped {f.his} {container}. {h.given} hesitated, and then
  shared {h.his} own flour.
Then {h.he} remembered how {h.his} {elder} had done it: simply, with butter, {fruit.s} and
  time."""), rows("""
The judges ate in silence and asked for more. The {trinket} went to both of them.
{h.He} came {ordinal}, and a child asked for the recipe. That was better than a {trinket}."""),
  rows("""
I shall win this year
A {bake} does not ask who is famous
The secret is not to hurry""")),
    (rows("""
The {c} with the Broken Leg
{h.given} and the {c}
A Guest in the {room}"""), rows("""
On the way to the {land} {h.given} found a young {c}. It was hurt, and {h.he} wanted to save it.
{near} the {building} lay a {c}, thin and wet. {h.given} wrapped it in a {garment} and took it
  home."""), rows("""
But it would not eat, and it hid {near} the {furniture}.
But nobody in {t} knew how to care for a {c}, and it became weaker."""), rows("""
{h.He} offered it {food}, then {vegetable.s}; it turned its head away.
{h.He} made a bed for it in a [basket|box|drawer|crate], and it bit {h.him} in the {limb}.
{h.He} sang to it. It seemed to listen, but it did not eat.
{h.He} kept it warm with {cloth} and a bottle of hot water.
{h.He} carried it to a {folk}, who only said that it would die."""), rows("""
Then {f.given} remembered that a {c} eats {c.diet}. They went out at {hour} to find some.
In the night it woke {h.him}. It had climbed on the {furniture} and was looking at the moon."""),
  rows("""
In {month} {h.he} opened the door, and the {c} ran to the {land} without looking back. {h.given}
  was sad and happy at once.
It grew strong, and one {sky} morning it was gone. Since then a {c} comes to the garden every
  {season}."""), rows("""
It is only a {c}, people say
Every creature wants to go home
It lives in the {c.habitat}, not in a {container}""")),
    (rows("""
The Quarrel
Two Neighbours in {t}
{h.given}, {f.given} and the {tree}"""), rows("""
{h.given} and {f.given} were neighbours, and {h.given} wanted nothing but peace and {food}.
Between the house of {h.given} and the house of {f.given} stood a {tree}, and both of them loved
  it."""), rows("""
But one day they quarrelled about {2-20} {fruit.s}, and after that they did not speak.
But a branch fell on the {furniture} of {f.given}, and {f.he} shouted things that {f.he} did not
  mean."""), rows("""
{h.He} wrote a {paper} and tore it up again.
{h.He} put a {bake} on the wall; a {animal} ate it.
{h.He} built a fence and painted it {colour}, but it made {h.him} only {mood}.
{h.He} sent a {folk} with greetings, who mixed up the words.
{h.He} practised a speech in front of the {furniture}."""), rows("""
Then came the {disaster}. In the dark {h.given} heard somebody call for help, took a {tool} and ran.
Then the {kin} of {f.given} fell ill, and {h.given} stood at the door with {food} before anyone
  asked."""), rows("""
They sat {near} the {tree} and could not remember who had started it.
The next day they took down the fence and made a bench of it, wide enough for two."""), rows("""
I was wrong, and I am sorry
It was never about the {fruit.s}
Somebody has to be the first""")),
    (rows("""
The Noise in the {building}
A {noise} in the Night
Who Lives in the {building}?"""), rows("""
In the old {building} of {t} something was {noise} every night, and {h.given} wanted to know what
  it was.
No one dared to enter the {building} after [dark|nightfall|midnight|sunset]. {h.given} did not
  believe in ghosts."""),
  rows("""
But the door was locked, and the lamp went out as soon as {h.he} came near.
But inside it was dark, the floor was rotten, and the {noise} came closer."""), rows("""
{h.He} climbed on a {container} and looked through the window: nothing but {furniture.s}.
{h.He} strewed flour on the floor; in the morning there were {2-9} strange marks.
{h.He} took along a {animal}, and it ran away at once.
{h.He} called, "Who is there?" and only {h.his} own voice came back.
{h.He} tied a bell to the door and waited behind a {furniture}."""), rows("""
Then the moon came out, and {h.he} saw it: the wind moved a {cond} {tool} against a {container}.
Behind the {furniture} sat a {animal} with {2-9} young ones, and it was more {mood} than {h.he}
  was."""), rows("""
{h.given} laughed so loudly that the whole street woke up.
{h.He} told nobody for a week, because the children of {t} liked their ghost."""), rows("""
There are no ghosts
Something is {noise} in there
Fear makes a {beast} out of a {bug}""")),
    (rows("""
The Apprentice
How {h.given} Learned to Be a {h.trade}
{h.given} Begins"""), rows("""
When {h.given} was young, {h.he} wanted to become the best {h.trade} in {t.region}.
{f.given} took {h.given} into the house, to teach {h.him} {virtue} and a trade."""), rows("""
But everything {h.he} touched broke, and after {2-9} weeks {h.he} was only allowed to sweep the
  {room}.
But the master only said, "Look," and never explained anything."""), rows("""
{h.He} practised in secret with a {cond} {tool} and cut {h.his} {limb}.
{h.He} did everything in a hurry and had to do everything twice.
{h.He} copied the others, and made all their mistakes as well.
{h.He} got up at {hour} and {mend.ed} {2-20} {tool.s} before breakfast.
{h.He} counted the days in {colour} chalk on the wall of the {room}."""), rows("""
One {sky} evening {h.he} stopped trying and simply watched the hands of {f.given}. They were slow.
  Suddenly {h.he} understood.
Then the master fell ill, and the work had to be finished by {day}. There was nobody but
  {h.given}."""), rows("""
"Now you may begin," said {f.given}, and gave {h.him} a {tool} of {h.his} own.
The work was not perfect, but it held. {f.given} looked at it for a long time and
  {gesture.ed}."""), rows("""
I shall never learn it
Look first, then do
My first {bake} was worse than yours""")),
    (rows("""
The Dry Summer
Water for {t}
{h.given} and the Well"""), rows("""
It had not rained since {month}, and {h.given} wanted to save {h.his} {fruit.s} and {vegetable.s}.
{h.given} had planted a {tree} for {h.his} {kin}, and it had to live."""), rows("""
But the well was empty, and the {t.river} was [a row of puddles|thin as a ribbon].
But the leaves turned {colour}, and the ground was hard as {stone}."""), rows("""
{h.He} carried water in a {container} from the {land}, {2-9} times a day.
{h.He} covered the ground with straw, so that it stayed damp for an hour longer.
{h.He} dug beside the {building} and found {2-9} {trinket.s}, but no water.
{h.He} asked an old {folk} who could smell rain; the {folk} smelled only {smell}.
{h.He} saved the water in which {h.he} had washed the {garment.s}."""), rows("""
Then {h.he} noticed that {bug.s} flew to one place {near} the {tree.s}. There {h.he} dug again.
Then {f.given} called everyone together: each house gave one {container}, and nobody's garden was
  left out."""), rows("""
On {day} it began to rain. Everyone stood in the {way} with open mouths.
Deep down the earth was dark and wet. By {hour} the first {container} was full."""), rows("""
It will not rain before {day}
Where {bug.s} fly there is water
A garden belongs to everyone who carries water""")),
    (rows("""
Lost in the Fog
The Way Home
{h.given} in the Mist"""), rows("""
{h.given} only wanted to gather {fruit.s} on the {high} and be home by {hour}.
It was {h.given}'s task to bring the {herd.s} down from the {high} before the winter."""), rows("""
But the fog came so quickly that {h.he} could not see {h.his} own {limb.s}.
But snow covered every path, and the {tree.s} all looked alike."""), rows("""
{h.He} followed a wall of {stone} until it ended in the air.
{h.He} shouted, and only a {bird} answered.
{h.He} walked for an hour and came back to the same {tree}.
{h.He} followed {h.his} own footprints and thought they were somebody else's.
{h.He} lit a fire of {wood}, but it smoked and went out."""), rows("""
Then {h.he} stood still and listened. Far away a {noise} sound could be heard: the water of the
  {t.river}. Water flows down to the town.
Then a {animal} came out of the white and walked ahead, as if it were glad to have company."""),
  rows("""
At {hour} {h.he} saw the lamp of {f.given}, who had put it in the window for {h.him}.
When {h.he} knocked at the door, there was a plate of {food} on the table, and nobody asked
  anything until
  {h.he} had eaten."""), rows("""
Stand still when you are lost
I can see nothing at all
The river knows the way""")),
    (rows("""
The Honest Pedlar
A Fair Price
{h.given} Goes to Market"""), rows("""
{h.given} wanted to buy a {animal} and had saved {20-90} {coin.s} for it.
{h.given} went to the market of {u} to sell {fruit.s} and {goods}, and needed {20-90} {coin.s} for
  the rent."""), rows("""
But a {nature} {rogue} with a {colour} {garment} offered a {container} that was said never to be
  empty.
But the scales of the {rogue} were false, and at noon half of the money was missing."""), rows("""
{h.He} complained, and the {rogue} {gesture.ed}.
{h.He} weighed a {fruit} and a {stone} pebble against each other, and the scales said that they
  were equal.
{h.He} went to the judge, who was eating {d} and had no time.
{h.He} counted {h.his} {coin.s} {2-9} times, but they did not become more.
{h.He} hid behind a {vehicle} and watched {manner}."""), rows("""
Then {f.given} bought {2-9} {fruit.s} and asked the {rogue} to weigh them on both sides of the
  scales. The crowd saw it.
At night {h.he} found a {container} on the road. It held {90-400} {coin.s} and a {paper} with a
  name."""), rows("""
{h.He} gave it back, and the owner, a {folk}, gave {h.him} the {animal} that {h.he} had wanted.
The {rogue} left {u} the same day, and the false scales hang in the {building} as a warning."""),
  rows("""
That is not a fair price
Weigh it again, please
Honest money is light to carry""")),
    (rows("""
The Song
{h.given} Finds a Voice
The Quiet {h.trade}"""), rows("""
{h.given} had a beautiful voice, but {h.he} sang only when {h.he} was alone with the {animal.s}.
In secret {h.given} played the {instrument}, and {h.he} wished that somebody would hear it."""),
  rows("""
But as soon as people looked at {h.him}, {h.his} throat closed and {h.his} {limb.s} shook.
But at the last {festival} {h.he} had forgotten the words, and everyone had laughed."""), rows("""
{h.He} practised in the {room}, with a cushion over {h.his} head.
{h.He} sang to {2-20} {animal.s}, who did not laugh.
{h.He} drank {drink} with honey and {spice}, and became only sleepy.
{h.He} imagined that all the people were {vegetable.s}; then {h.he} had to giggle.
{h.He} wrote the words on {h.his} {limb}, and the rain washed them off."""), rows("""
Then, on a {sky} evening, a child could not sleep, and {h.given} forgot to be afraid.
At the {festival} the fiddler was ill, and {f.given} {look.ed} around and pointed at
  {h.given}."""), rows("""
When {h.he} opened {h.his} eyes again, the whole street was silent, and then the clapping began.
It was not loud, but everyone could hear it. {f.given} wiped {f.his} eyes with a {garment}."""),
  rows("""
They will laugh at me
Sing for one person, and forget the rest
You do not have to be loud""")),
]

# ------------------------------------------------------------------------------------ explanations

# How things are in the real world, one topic an entry: the question, then sentences in their order.
TOPICS = [(block[0], block[1:]) for block in (rows(text) for text in """
Why does rain fall?
[The sun warms|Sunlight heats] the sea, the lakes and the [wet ground|rivers], and some of the
  water becomes vapour.
[Vapour is a gas that nobody can see|You cannot see vapour], and it rises with the warm air.
High [above us|in the sky] the air is cold, and cold air [holds|can carry] less vapour.
So the vapour turns into [tiny drops|droplets], which we see as a cloud.
The drops [bump together|join] and grow until they are too heavy [to float|for the air to carry].
Then they fall as rain, or as snow if it is cold enough.
The water [flows|runs] back to the sea, and the journey begins again.
===
How does bread rise?
Bread dough [contains|has in it] yeast, a very small living thing that can only be seen through a
  microscope.
Yeast [eats|feeds on] the sugar in the flour and gives off a gas, carbon dioxide.
Flour and water, when kneaded, form [long elastic threads called gluten|an elastic net].
The net [catches|traps] the bubbles of gas, so the dough [swells|grows|puffs up].
Warmth makes yeast [quick|lively], cold makes it slow, and great heat kills it.
In the oven the bubbles [expand|grow once more], and then the crust becomes firm.
That is why a slice of bread is full of [small holes|holes of every size].
===
How does a lever work?
A lever is a stiff bar that turns on a fixed point, [called the fulcrum|the fulcrum].
If you push [far from|a long way from] the fulcrum, a small force can lift a heavy load close to it.
The price is distance: your end moves [a long way|far] while the load moves only a little.
A seesaw, [a crowbar and a pair of scissors|a bottle opener and an oar] are levers.
A child who sits twice as far from the middle balances a grown person of twice the weight.
[Force times distance|Weight multiplied by distance] is the same on both sides when a lever
  balances.
===
Why are there seasons?
The earth travels around the sun once [a year|in about 365 days].
Its axis is tilted, so for half of the year the north leans towards the sun and for the other half
  the south.
When our half leans towards the sun, days are long and the sun stands high, and we have summer.
When it leans away, days are short and the light [comes in at a low angle|is spread over more
  ground], and it is winter.
Spring and autumn lie between, when day and night are [about|nearly] equal.
It is not because the earth comes closer to the sun: while it is winter in the north, it is summer
  in the south.
===
What is a map?
A map is a picture of a place [as a bird sees it|from above], drawn much smaller.
The scale [tells|says] how much smaller: one centimetre may stand for one kilometre.
On most maps north is at the top, [so|and] east is on the right and west on the left.
Signs stand for things: [a blue line for a river|a cross for a church], a dotted line for a path.
Lines that join places of the same height show hills; where they are crowded, the ground is steep.
No flat map of the round earth can be quite right, [since a curved skin cannot be pressed flat
  without stretching|so every map
  bends something].
===
How do bees make honey?
Bees [visit|fly to] flowers to drink nectar, which is mostly water and sugar.
A bee carries the nectar home in a special stomach.
In the hive it passes the nectar to other bees, [from mouth to mouth|one after another], and the
  sugars change.
The bees put it into cells of wax and fan it with their wings until most of the water is gone.
Then it is honey, and they [seal|close] the cell with a lid of wax.
Honey is their food for the winter, when no flowers bloom.
While they collect, bees carry pollen from flower to flower, and so fruit can grow.
===
Why do leaves change colour in autumn?
Leaves are green because of chlorophyll, which catches sunlight [to make sugar|for the plant].
In autumn the days become short [and cold|], and the tree stops making chlorophyll.
The green fades, and yellow and orange colours that were always there can be seen.
Some trees make a red colour as well, [especially|above all] when days are sunny and nights are
  cool.
A layer of cork grows between leaf and twig, and [at last|in the end] the leaf falls.
Without leaves the tree saves water in winter, when the roots can hardly drink.
===
Why does the moon change its shape?
The moon does not shine by itself; it [reflects|throws back] the light of the sun.
Half of it is always lit, but we do not always see the lit half.
When the moon stands between us and the sun, its dark side faces us: that is new moon.
About two weeks later it stands opposite the sun, and we see a full moon.
In between we see a [crescent|thin sickle] or a half moon.
From one full moon to the next it takes about twenty-nine and a half days.
===
How do we count?
People have ten fingers, and [so|perhaps therefore] most of us count in tens.
In the number 352, the 2 means two ones, the 5 five tens and the 3 three hundreds.
The place of a digit decides what it is worth: [moving one place to the left makes it ten times
  bigger|each place to the
  left is worth ten times more].
Zero [keeps an empty place open|shows that a place is empty], so that 305 is not mistaken for 35.
With only ten signs, we can write any number, however large.
Before that people used [knots, notches and pebbles|marks on bones and bundles of sticks], one for
  each sheep.
===
Why does ice float?
Most things shrink when they freeze, but water [is different|does the opposite]: it swells.
In ice the smallest parts of water are ordered in a wide pattern with [much empty room|gaps]
  between them.
Therefore a bucket of ice weighs less than a bucket of water, and what weighs less [for its size|]
  floats.
About nine tenths of an iceberg are under the water.
Because ice floats, a lake freezes from the top, and fish live through the winter [below|in the
  water beneath].
It is also the reason why a full bottle may [burst|crack] in the frost.
===
How does a sail move a boat?
When the wind blows from behind, it simply pushes [the sail|the cloth] forward.
When it comes from the side, the curved sail turns the wind, and the wind pushes back on the sail.
A keel under the boat keeps it from sliding sideways, so [most of|] the push becomes forward motion.
No boat can sail straight into the wind; sailors go in zigzags, which is called tacking.
The stronger the wind, the smaller the sail a careful sailor sets.
===
Why is the sea salty?
Rain [dissolves|washes] small amounts of salt out of rocks.
Rivers carry the salt to the sea, too little of it for us to taste.
The sun lifts water from the sea, but the salt [stays behind|remains].
This has gone on for hundreds of millions of years, so the salt has gathered.
A litre of sea water holds about thirty-five grams of salt.
[In lakes without an outlet the same happens|Lakes from which no river flows become salty as well].
===
What is sound?
Sound begins when something [shakes|trembles] quickly: a string, a bell, the skin of a drum.
It pushes the air beside it, and that air pushes the next, so a wave runs outward.
When the wave reaches the ear, a thin skin in it trembles too, and we hear.
Fast trembling makes a high note, slow trembling a low one.
Sound travels about 340 metres in a second, [far slower than light|much more slowly than light].
Therefore we see lightning first and hear the thunder later: three seconds mean about one kilometre.
Where there is no air[, as on the moon,|] there is no sound.
===
How do plants eat?
Plants do not hunt for food, they make it [themselves|from air, water and light].
Roots drink water from the soil, with small amounts of minerals.
Leaves take in carbon dioxide through tiny openings.
With the power of sunlight the leaf turns both into sugar, and oxygen is left over.
We breathe that oxygen, [and so do all animals|as animals do].
In the dark a plant cannot make sugar, so a plant in a cupboard [becomes pale and dies|starves].
===
Why do we sleep?
While we sleep, the body rests and repairs [small damage|itself].
The brain is not idle: it sorts what happened during the day and keeps what seems important.
That is why we often remember a lesson better after a good night.
Children grow in their sleep and need more of it than [grown people|adults], often ten hours.
Too little sleep makes people slow, cross and [clumsy|forgetful].
Light in the evening tells the body that it is still day, so a dark room helps.
===
How does a magnet work?
A magnet pulls iron, nickel and cobalt, but not wood, [glass or copper|gold or paper].
Every magnet has two ends, a north pole and a south pole.
Different poles attract each other, and like poles push each other away.
Inside the iron countless tiny magnets point in the same direction; in plain iron they point
  everywhere.
If you break a magnet in two, each piece has [again|] both poles.
The earth itself is a weak magnet, and so the needle of a compass points north.
===
How is paper made?
Most paper is made of wood, [though|but] rags and grass will also do.
The wood is cut into chips and cooked until only soft fibres are left.
The fibres float in a great deal of water, like a thin soup.
When the soup is poured over a fine sieve, the water runs off and the fibres [lie across each
  other|tangle].
The wet sheet is pressed, dried and rolled smooth.
Old paper can be stirred into water and used again [several|about six] times, until the fibres are
  too short.
===
Why do we have to boil jam?
Tiny living things, moulds and bacteria, are [everywhere|on every fruit].
Heat kills most of them, and a hot clean jar with a lid keeps others out.
Sugar binds the water in the fruit, and without water moulds cannot grow.
Fruit also contains pectin, which makes the jam set when it is cooked with sugar and [acid|lemon
  juice].
An open jar should be kept cool, [because|since] new spores fall in whenever it is opened.
===
How do birds fly?
A bird has hollow bones and light feathers, so it weighs [little|less than it seems].
Its wings are curved, and the air that flows over and under them lifts the bird.
With strong muscles in the breast it beats the wings down and backward.
The tail helps to steer and to brake.
Large birds save strength by gliding on warm air that rises over [sunny fields|the land].
Not all birds fly: [some run, and some swim instead|ostriches run and penguins swim].
===
Why does the wind blow?
The sun does not warm the ground evenly: [sand becomes hotter than water|dark fields become hotter
  than lakes].
Warm air [is lighter and rises|becomes light and goes up].
Cooler air flows in from the side to take its place, and this flow is wind.
By day the land is warmer than the sea, so the wind [often|] comes from the sea; at night it turns.
The greater the difference in pressure, the stronger the wind.
===
What is a fraction?
If a cake is cut into four equal parts, each part is a quarter, written 1/4.
The number below says into how many parts the whole is cut, and the number above how many of them
  we take.
Two quarters are as much as one half, [for|because] 2/4 and 1/2 are the same amount.
The more parts we cut, the smaller each of them: an eighth is less than a [sixth|fifth].
To add fractions, the parts must have the same size: [one quarter and two quarters make three
  quarters|two fifths and one
  fifth make three fifths].
===
How does a wheel help?
To drag a heavy box over the ground is hard, because [the two rub together|of friction].
A wheel rolls, so that hardly anything rubs except the axle, and the axle can be greased.
A large wheel rolls over [stones and holes|bumps] more easily than a small one.
With teeth, wheels become gears: a small gear has to turn many times while a large one turns once.
A rope over a wheel is a pulley; it lets us pull down in order to lift something up.
===
Why must we wash our hands?
On our hands live [thousands|millions] of bacteria, too small to be seen.
Most of them are harmless, but some make us ill when they [get into|reach] the mouth or a wound.
Water alone does not remove them, because they stick to the grease on the skin.
Soap [has two ends|is made of parts with two ends]: one holds on to grease, the other to water.
So dirt and bacteria are lifted off and washed away.
It takes about twenty seconds to do it well, [between the fingers as well|thumbs included].
===
How do volcanoes work?
Deep in the earth it is so hot that rock [melts|becomes liquid].
Melted rock is lighter than the solid rock around it, so it rises [slowly|].
Gases are dissolved in it, like the bubbles in a closed bottle of lemonade.
Near the surface the pressure falls, the gas escapes, and the volcano [erupts|breaks out].
What flows out is called lava; when it cools, it becomes hard and dark.
After many years the ash turns into very good soil.
===
Why can we see a rainbow?
Sunlight looks white, but it is a mixture of [many|all] colours.
When light enters a drop of water, it bends, and each colour bends a little differently.
It is thrown back from the far side of the drop and leaves it spread out into colours.
We see red from drops that stand higher and violet from lower ones, so red is on the outside of the
  bow.
To find a rainbow, stand with the sun behind you and the rain in front of you.
Two people never see quite the same rainbow, [since each eye meets other drops|as it depends on
  where they stand].
===
What does money do?
Without money, a baker who wants shoes must find a shoemaker who wants bread.
With money the baker [sells bread to anyone|can sell to anybody] and buys shoes later.
Money also lets us compare: a chair may cost as much as forty loaves.
And it can be kept, while fish and bread [go bad|cannot].
It works only as long as people [trust it|believe that others will take it].
If there is much more money but not more bread, prices rise.
===
How does the heart work?
The heart is a muscle about as big as a fist.
It has two halves, each with [two rooms|two chambers], and doors that open only one way.
The right half pumps blood to the lungs, where it takes up oxygen.
The left half pumps it through the [whole|rest of the] body.
A grown person's heart beats about seventy times a minute at rest, and faster when we run.
You can feel the beat at the wrist; [that is called the pulse|this is the pulse].
===
How do locks on a canal work?
A canal cannot climb a hill, so boats are lifted step by step in locks.
A lock is a chamber with a gate at [each|either] end.
A boat enters at the bottom, and the lower gate is closed behind it.
Then water is let in from above, and the boat rises [with it|] like a cork in a bath.
When the water is as high as the canal above, the upper gate opens, and the boat moves on.
No pump is needed: the water always flows downhill.
""".split("===\n"))]
TOPIC_OPEN = rows("""
[Children|Pupils|People] in {t} often ask this question, and the answer is [simple|not hard].
[A {folk}|My {kin}|{p}, a {p.trade},] once asked me this {near} the {building}.
Look at a {cup} of {drink}, or at the {land} on a {sky} day, and you may wonder about it.
It seems [a simple|an easy] question, but it took people a long time to answer it.
Here is a [short|simple] explanation for curious {folk.s}.
The next time you sit {near} a {furniture}, think about this.
[Everyone|Even a {folk}] has seen it, but few can explain it.
""")
TOPIC_LINK = rows("""
[Step by step|In other words|Let us go on]:
[And now|This is] the important part.
[Imagine|Think of] a {container} full of {fruit.s} if it helps.
You do not need {tool.s} for this, only [a little |]{virtue}.
Here it becomes interesting.
""")
TOPIC_END = rows("""
[Try|Watch] it yourself, with a {container} and a little {virtue}.
So a {folk} in {t} and a {folk} in {u} see the same thing, for the same reason.
[If|When] somebody asks you now, you can explain it, even to a {animal}.
{p}, the {p.trade}, used to say that {virtue} begins with a question.
That is all: no magic, only nature.
There is more to say, but that is another lesson.
[Draw|Write] it on a sheet of paper and explain it to your {kin}.
""")

# ------------------------------------------------------------------------------------------ lessons

LESSON_OPEN = rows("""
[Take|Bring] a {tool}[, a sheet of paper|] and a sharp pencil.
In the school of {t} this is done {well} and without hurry.
{p}, a {p.trade}, needs this every {day}.
[We|Let us] work it out step by step.
Nobody has to be [quick|clever]; it is enough to be careful.
On the blackboard stands a new [task|problem].
A {nature} pupil asked how to do it[, and here is the way|].
You can do this with {fruit.s}, with {trinket.s} or on paper.
""")
LESSON_END = rows("""
[Check|Test] it with {fruit.s} if you do not believe it.
[Now|Next] try one with your own numbers.
A {folk} who can do this will not be cheated at the market of {t}.
If you made a mistake, begin again with the first step; {virtue} helps.
Say it aloud to a {animal}, and you will remember it.
[Good|Well done]. Tomorrow we shall do a harder one.
""")

# Questions about the world: title, question, true answers.
FACT_THREADS = [rows(text) for text in """
Where was {p} born?
I am [writing|preparing] a talk about the {p.trade} {p} and [cannot find|have lost] the birthplace.
{p} was born in {p.town}[, in {p.born}|].
[It was|The answer is] {p.town}, in {p.town.region}. {p.He} worked in {p.home}.
In {p.town}; [my {kin} lives there|the year was {p.born}|everybody there will tell you].
[A {paper} in the {building} says|I have read] that {p} was born in {p.town}.
===
What does a {c} eat?
I found a [young |]{c} {near} my {building}, and it looks {mood}.
[Mostly|Above all] {c.diet}. In bad times also {c.diet2}.
A {c} is a {c.kind}, so it needs {c.diet}, and a place like {c.habitat}.
Please [take|carry] it back. It lives in the {c.habitat} of {c.region}.
Do not keep it in a {container}. It {c.habit}, and for that it needs room.
===
Who wrote {b}?
My {kin} [read it to me|told me about it] when I was {5-12}, and I have forgotten the author.
{b} is by {b.author}.
{b.author} wrote it in {b.year}. It is a {b.genre}, is it not?
The author is {b.author}, a {b.author.trade} from {b.author.home}.
Is that the {b.genre} that {b.plot}? Then it is by {b.author}.
===
Is {t} worth a visit?
We have {2-9} days in {month}, a {vehicle} and [no plan|little money].
[Yes|Certainly]! There is {t.landmark}.
Go in {t.month}, for the {t.festival}: {t.custom}.
{t} is {t.kind} on the {t.river}. One day is enough, [but a good one|two are better].
Buy {t.product} there; nobody makes it better.
The weather is {t.weather}, so bring a {garment}.
It has {t.people} inhabitants and [one|no] good inn. Ask for a room {near} the {building}.
===
How do you make {d}?
I ate it in {d.town}, {d.when}, and I [dream of it|want to cook it for my {kin}].
You need {d.main}. The {d.spice} comes [last|at the end].
It is a {d.method} and takes about {d.minutes} minutes.
It should taste {d.taste}; if it does not, add more {d.spice}.
[In {d.season} it is best|Wait until {d.season}], when the market has good {d.main}.
===
Was {p} really the best {p.trade} of {p.home.region}?
[We|My {kin} and I] have been [arguing|talking] about it since {day}.
{p}, [of course|without doubt]. Nobody else {p.trade.did} so {well}.
You cannot compare such people. {p} was {p.nature}, and worked in {p.home}.
I only know that {p.given} liked {p.hobby}[|, and so do I].
There was {virtue} in everything {p.he} did. The rest is a matter of taste.
""".split("===\n")]
