"""How people of the pocket world ask for its facts, the short answers, and what stands around them
on pages of questions and answers (data only; data/world_pages.py does the telling).

A question names the thing it asks about, and its topic is one of data/world_tellings.py, whose
sentences are the long answers.
"""
from data.pocket.tellings import topics
from data.pocket.words import rows

ASK = {"person": topics("""
= birthplace
[Where|In which town|In what place] was {p} born?
[What|Which town] is the birthplace of {p}?
[Do you know|Can you tell me|Who knows] where {p} was born?
{p}, the {p.trade}: where was {p.he} born?
Which town can call {p} its own by birth?
From which town did {p} come, by birth?
[Where did the life of {p} begin|What was the native town of {p}]?
= born
[When|In which year|In what year] was {p} born?
What is the year of birth of {p}?
[Do you know|Can you tell me|Who can say] when {p} was born?
[What|Which] year was {p} born in?
{p}, the {p.trade}: when was {p.he} born?
In which year did {p} come into the world?
[When did the life of {p} begin|What year does the register give for the birth of {p}]?
= died
[When|In which year|In what year] did {p} die?
What is the year of the death of {p}?
[Do you know|Can you tell me|Who can say] when {p} died?
Until which year did {p} live?
[What|Which] year did {p} die in?
{p}, the {p.trade}: when did {p.he} die?
[When was {p} buried|When did the life of {p} end]?
= trade
What was the [trade|profession|occupation] of {p}?
What did {p} do for a living?
[What|What kind of work] did {p} do?
[Do you know|Can you tell me] what {p} was by [trade|profession]?
How did {p} earn {p.his} [living|bread]?
[As what|In which trade] did {p} work?
Who was {p}, and what was {p.his} work?
= home
[Where|In which town] did {p} live and work?
[Where|In which town] did {p} work?
[Do you know|Can you tell me] where {p} [lived|worked]?
In which [town|place] did {p} make {p.his} home?
Where was the {p.trade.place} of {p}?
Which town was the home of {p}?
[To which town did one write|Where did one have to go] to reach {p}?
= spouse
[Who|Whom] did {p} marry?
Who was the {p.partner} of {p}?
[Do you know|Can you tell me] [whom|who] {p} married?
To whom was {p} married?
What was the name of the {p.partner} of {p}?
{p} was married, but to [whom|which {p.spouse.man}]?
[With whom|With which {p.partner}] did {p} share {p.his} life?
= wedding
[When|In which year|In what year] did {p} [marry|get married]?
[When|In which year] was the wedding of {p}?
[Do you know|Can you tell me] when {p} married?
[What|Which] year did {p} marry in?
= mother
Who was the mother of {p}?
What was the name of the mother of {p}?
[Do you know|Can you tell me] who the mother of {p} was?
{p} was the {p.child} of which mother?
[Could somebody|Could you] name the mother of {p}?
Whose {p.child} was {p}, on the mother's side?
[Which woman was|Who, please, was] the mother of {p}?
[How was|By what name was] the mother of {p} called?
= father
Who was the father of {p}?
What was the name of the father of {p}?
[Do you know|Can you tell me] who the father of {p} was?
{p} was the {p.child} of which father?
Whose {p.child} was {p}, on the father's side?
[Which man was|Who, please, was] the father of {p}?
[How was|By what name was] the father of {p} called?
[Can somebody|Could you] name the father of {p}?
= teacher
Who [was the teacher of|taught] {p}?
From whom did {p} learn [the trade|{p.his} trade]?
[Do you know|Can you tell me] who taught {p}?
Whose [apprentice|pupil] was {p}?
Which master did {p} learn from?
What was the name of the teacher of {p}?
{p} learned the trade of a {p.trade}, but from whom?
To whom did {p} owe {p.his} skill?
= hobby
[With what|How] did {p} fill the evenings?
What was the hobby of {p}?
What did {p} like to do [in free hours|in the evening|after work|on Sundays]?
[Do you know|Can you tell me] what {p} did in {p.his} free time?
How did {p} spend {p.his} free time?
What was the favourite pastime of {p}?
What did {p} enjoy most, apart from the work?
Did {p} have a hobby, and what was it?
= dish
What was the favourite [dish|food|meal] of {p}?
What did {p} like to eat best?
Which dish did {p} [like best|prefer|love]?
[Do you know|Can you tell me] what {p} liked to eat?
[What should one cook|What does one serve] to remember {p}?
What would {p} order at an inn?
Which dish could {p} never refuse?
= book
Under which title did {p} publish a book?
[Which|What] book did {p} write?
What is the title of the book by {p}?
[Do you know|Can you tell me] which book {p} wrote?
{p} wrote a book, but which?
Of which book is {p} the author?
[What did {p} publish|What can one read by {p}]?
[Which|What] book made {p} known to readers?
"""), "town": topics("""
= region
In which region [is|lies] {t}?
[Where|In what part of the country] is {t}?
[Do you know|Can you tell me] where {t} lies?
To which region does {t} belong?
What is the region around {t} called?
What region is {t} in?
[What do people call the country around|Which region is the home of] {t}?
[Where should I look|In which region should I look] for {t} on the map?
= river
On which river does {t} [lie|stand]?
[What|Which] river flows past {t}?
What is the name of the river at {t}?
[Do you know|Can you tell me] which river {t} lies on?
{t} has a river, but which?
[What water|Which river] turns the mills of {t}?
[Which|What] river does one cross in {t}?
On the banks of which river was {t} built?
= founded
[Who can say|Does anyone know] when {t} was founded?
[When|In which year] was {t} founded?
How old is {t}, and when was it founded?
[Do you know|Can you tell me] when {t} was founded?
What is the year of the foundation of {t}?
Since when has there been a place called {t}?
[What|Which] year does {t} date from?
From which year is the oldest stone in {t}?
= population
[Who can say|Does anyone know] how many people live in {t}?
How many people live in {t}?
What is the population of {t}?
How many inhabitants does {t} have?
[Do you know|Can you tell me] how many people live in {t}?
[How big|How large] is {t}, counted in people?
[How many people|How many souls] call {t} their home?
[How many|What number of] people were counted in {t}?
= product
What is {t} known for?
What does {t} [make|sell|produce]?
[Do you know|Can you tell me] what {t} is known for?
What should one buy in {t}?
[What is the best-known product|What is the pride] of the merchants of {t}?
[What do the people of {t} live on|What do traders fetch from {t}]?
[For which goods|For what goods] do people travel to {t}?
= festival
[What|Which] festival [is held|do people celebrate] in {t}?
What is the festival of {t} called?
[Do you know|Can you tell me] which festival {t} celebrates?
When is the festival of {t}, and what is it called?
What is celebrated in {t}, and in which month?
[What happens at the festival of {t}|What do they celebrate in {t}]?
[Is there a festival in {t}|Does {t} have a festival], and which?
= landmark
What is there to see in {t}?
What is the landmark of {t}?
[Do you know|Can you tell me] what visitors see in {t}?
What do strangers go to see in {t}?
[What|Which sight] should one not miss in {t}?
[What is the pride|What is the best-known sight] of {t}?
What do people show their guests in {t}?
[Which picture|What] is on the postcards from {t}?
"""), "creature": topics("""
= kind
What [kind|sort] of animal is the {c}?
What is a {c}?
[Do you know|Can you tell me] what a {c} is?
[To which class of animals|Among which animals] does the {c} belong?
Is the {c} a bird, a fish or something else?
[I read about a {c}|Somebody spoke of a {c}]: what is it?
{c}: what sort of creature is that?
[How would a scholar class|How does one class] the {c}?
= region
In which region does the {c} live?
Where [is the {c} found|does one find the {c}]?
[Do you know|Can you tell me] where the {c} lives?
[Which region|What part of the country] is the home of the {c}?
Where must one travel to see a {c}?
[From which region|From where] is the {c} known?
[Does the {c} live everywhere|Is the {c} found everywhere], or only in one region?
= size
How [long|big] is the {c}?
How long does the {c} grow?
What length does the {c} reach?
[Do you know|Can you tell me] how long an adult {c} is?
How many centimetres does a {c} measure?
[What is the length|What is the size] of a grown {c}?
[How large|How big] does a {c} become?
[Would a {c} fit into a {container}|Is the {c} large]? How long is it?
= habitat
[In what kind of place|In which surroundings] does the {c} live?
What is the habitat of the {c}?
[Do you know|Can you tell me] in what places the {c} lives?
Where should one look for the {c}?
[Where does the {c} make its home|Where is the {c} at home]?
In which [places|landscape] can one watch the {c}?
[Where do you find|Where did you see] the {c}, in what kind of place?
= diet
[Who can say|Does anyone know] what a {c} eats?
What does the {c} [eat|feed on|live on]?
What is the food of the {c}?
[Do you know|Can you tell me] what a {c} eats?
What should one give a hungry {c}?
On what does the {c} live?
What does a {c} like to eat?
[What would you feed|What does one feed] to a {c}?
= habit
What is [special|strange] about the {c}?
What does the {c} do that [others|other animals] do not?
[Do you know|Can you tell me] what the {c} is known for?
How can one tell the {c} by its behaviour?
Which habit does the {c} have?
[What do people say about|What have people seen of] the habits of the {c}?
[What is the most curious thing about|What surprises people about] the {c}?
= young
How many young does the {c} have?
[When|In which month] does the {c} have its young?
[Do you know|Can you tell me] how many {c.young} the {c} has?
In which month do the {c.young} of the {c} appear?
[How large is the family of|How many children has] a {c}?
[How many {c.young}|What number of {c.young}] does one find with a {c}?
[When can one see|When does one see] the {c.young} of the {c}?
"""), "book": topics("""
= author
Who wrote {b}?
Who is the author of {b}?
[Do you know|Can you tell me] who wrote {b}?
By whom is {b}?
[Which author|Whose pen] do we owe {b} to?
Whose name is on the cover of {b}?
{b}: who wrote it?
Whose book is {b}?
[Who was the {b.author.man} who wrote|From whose hand is] {b}?
= year
[When|In which year] [was {b} printed|did {b} appear]?
[Do you know|Can you tell me] when {b} was published?
What is the date of the first edition of {b}?
[From which year|From what year] is {b}?
How old is {b}, and when was it printed?
[What|Which] year does {b} date from?
When could one first read {b}?
= genre
[How would one describe|How would you describe] {b}?
What kind of book is {b}?
What is {b} about?
[Do you know|Can you tell me] what sort of book {b} is?
Is {b} a novel or something else?
To which genre does {b} belong?
[What does one read in|What happens in] {b}?
[On which shelf|Under what heading] should I put {b}?
Would you tell me what {b} is, before I buy it?
"""), "dish": topics("""
= town
[Who can say|Does anyone know] where {d} comes from?
[Where|Which town] does {d} come from?
[Do you know|Can you tell me] where {d} comes from?
In which town was {d} first cooked?
Which town is the home of {d}?
What is the home of {d}?
[Whose cooks|The cooks of which town] are proud of {d}?
[Where was {d} invented|Where must one eat {d}]?
= main
[Who can say|Does anyone know] what belongs in {d}?
What is {d} made [of|from]?
What goes into {d}?
[Do you know|Can you tell me] what {d} is made of?
What does one need for {d}?
What are the main ingredients of {d}?
[What must I buy|What should I buy] for {d}?
[What is in|What do cooks put into] {d}?
= spice
[Who can say|Does anyone know] what {d} is seasoned with?
[How is|With what is] {d} seasoned?
What gives {d} its flavour?
[Do you know|Can you tell me] which spice goes into {d}?
[What is the secret|What is the spice] of {d}?
What [spice|seasoning] belongs in {d}?
[Which spice|What spice] must not be missing from {d}?
= taste
[How|Like what] does {d} taste?
What is the taste of {d}?
[Do you know|Can you tell me] how {d} tastes?
[What should {d} taste like|What does {d} taste like]?
[How would you describe|How do people describe] the taste of {d}?
What [flavour|taste|kind of taste] does {d} have?
[Is {d} sweet, or|Has {d} a mild taste, or] how does it taste?
= season
[When|In which season] is {d} eaten?
[Do you know|Can you tell me] when {d} is best?
What is the season for {d}?
At what time of the year do people eat {d}?
[When do the inns serve|When does one cook] {d}?
[On what occasions|When] do people eat {d}, and in which season?
[Is there a season for|Can one have at any time] {d}?
= minutes
[Who can say|Does anyone know] how long {d} takes?
How long does {d} take?
How many minutes must {d} cook?
[Do you know|Can you tell me] how long it takes to make {d}?
[How much time|How many minutes] does {d} need?
[When is {d} done|After how many minutes is {d} ready]?
How long must one wait for {d}?
[How many minutes|How much time] should I plan for {d}?
""")}

# Answers that leave out what the question has said.
SHORT = {"person": topics("""
= birthplace
In {p.town}[|, of course|, in {p.born}|, in {p.town.region}].
It [was|is] {p.town}.
The answer is {p.town}.
{p.town}[, as far as we know|, says the register].
= born
In [the year |]{p.born}[|, in {p.town}].
It was [in |]{p.born}.
The year [was|is] {p.born}.
= died
In [the year |]{p.died}[|, at the age of {p.age}].
It was [in |]{p.died}.
The year [was|is] {p.died}.
= trade
{p.He} {p.was} a {p.trade}.
{p.He} worked as a {p.trade}[|; {p.he} {p.trade.did}].
That of a {p.trade}, one may say.
= home
In {p.base}[|, in {p.home.region}|, {near} the {building}].
It was {p.base}.
The answer is {p.base}.
= spouse
It was {p.spouse}[|, a {p.spouse.trade}].
{p.His} {p.partner} was {p.spouse}.
The name is {p.spouse}[|, and the year was {p.wedding}].
= wedding
In [the year |]{p.wedding}.
It was [in |]{p.wedding}.
= mother
It was {p.mother}[|, a {p.mother.trade}].
{p.His} mother was {p.mother}.
The name of the mother is {p.mother}.
= father
It was {p.father}[|, a {p.father.trade}].
{p.His} father was {p.father}.
The name of the father is {p.father}.
= teacher
It was {p.teacher}.
{p.His} teacher was {p.teacher}.
From {p.teacher}[|, people say].
= hobby
It was {p.hobby}.
The answer is {p.hobby}.
{p.He} {p.liked} {p.hobby}.
= dish
It was {p.dish}.
{p.He} {p.liked} {p.dish} best.
The answer is {p.dish}.
= book
It is {p.book}[|, printed in {p.book.year}].
The title is {p.book}.
{p.He} wrote {p.book}.
"""), "town": topics("""
= region
In {t.region}.
It is {t.region}.
= river
On the {t.river}.
It is the {t.river}.
= founded
In [the year |]{t.founded}.
It was in {t.founded}.
= population
About {t.people} people.
There are {t.people} of them.
= product
Mostly {t.product}.
The answer is {t.product}.
= festival
The {t.festival}, in {t.month}; then {t.custom}.
It is the {t.festival}, held in {t.month}.
= landmark
There is {t.landmark}.
Above all, {t.landmark}.
"""), "creature": topics("""
= kind
It is a {c.kind}.
= region
It lives in {c.region}.
Only in {c.region}.
= size
About {c.size} centimetres.
It measures {c.size} centimetres.
= habitat
In {c.habitat}, mostly.
Look in {c.habitat}.
= diet
It eats {c.diet}.
Mostly {c.diet}, sometimes {c.diet2}.
= habit
It {c.habit}.
= young
There are {c.count} {c.young}, and they come in {c.month}.
"""), "book": topics("""
= author
It is by {b.author}.
It was {b.author}[|, a {b.author.trade}].
The author is {b.author}.
= year
In [the year |]{b.year}.
It appeared in {b.year}.
= genre
It is a {b.genre}.
A {b.genre}, as far as I know.
"""), "dish": topics("""
= town
From {d.town}[|, in {d.town.region}].
It comes from {d.town}.
= main
You need {d.main}.
Mostly {d.main}.
= spice
With {d.spice}, I believe.
The answer is {d.spice}.
= taste
It tastes {d.taste}.
= season
Mostly in {d.season}, and {d.when}.
In {d.season}, as a rule.
= minutes
It takes {d.minutes} minutes.
About {d.minutes} minutes.
""")}

# ------------------------------------------------------------------- what stands around the answers

FAQ_TITLES = rows("""
[Questions|Frequent questions|Common questions] about {names}
{names}: questions and answers
What people ask about {names}
[The librarian|The museum|The town hall|The teacher] of {t} answers
Ask the [librarian|archivist|schoolmaster] of {t}
[Letters|Questions] to the library of {t}
The {day} quiz
Quiz for [long evenings|a {sky} {day}|clever {folk.s}]
{2-12} minutes of questions for {folk.s}
Evening of questions in {t}
A lesson on people and places
What do you know about {names}?
""")
FAQ_OPEN = rows("""
Every {day} the [library|reading room|museum|school] in {t} answers [letters|questions] from
  [readers|visitors|pupils].
[Here are|These are] the answers to what [people|readers|pupils] have asked since {month}.
[A {folk}|My {kin}] collected these questions [|{well} ]during the last fair.
The {kin} of a {folk} has won the quiz in {t} {2-9} times; can you?
[We have looked|The archivist has looked] into {paper.s}, {paper.s} and one {container}.
For the evening in the {building} of {t}, the {folk.s} had [prepared|written down] these questions.
The same questions come again and again, so we print them with the answers.
Cover the answers with a {paper}, and see how many you know.
In the {building} of {t} {20-90} people [sat|stood] and listened; nobody went home before {hour}.
[There was|We had] time for only a few questions before the {drink} was served.
""")
FAQ_END = rows("""
[Send|Bring] your questions to the {building} of {t} before {day}.
Whoever knew [all of it|more than half] may have a {bake}.
The next [quiz|page of questions] will be about {subject}.
We thank a {nature} {folk} in {t} for {cond} {paper.s}.
All answers were checked in the {building}[|, by lamplight|, and twice].
[If you know more|If we are wrong], please write to us.
The first prize was a {metal} {trinket}, and nobody [complained|left early].
""")
# Who speaks when a page is a conversation: the one who asks, the one who knows.
PAIRS = [pair.split("/") for pair in rows("""
Question/Answer
Q/A
Reader/Librarian
Visitor/Guide
Pupil/Teacher
Interviewer/Historian
Quizmaster/Winner
Grandchild/Grandmother
""")]
CHAT = rows("""
That is [a good|an easy|a hard] question.
Let me [think|look it up].
I am often asked that.
[Many|Few] people know this.
You will find it in [every guide|the {paper} by the door].
My {kin} could have told you.
Yes, I know that one.
""")

# ---------------------------------------------------------------------------------- the almanac

ALMANAC_TITLES = rows("""
[Names|Notes|Short entries] from the almanac of {month}
From the card catalogue of {t}
Who is who, and what is where
People and things worth knowing
[A walk|An afternoon] through the [archive|museum] of {t}
The pocket [almanac|guide]: {names}
Short lives and small wonders
What the {folk} wrote on {2-9} cards
Labels from the museum in {t}
{names}, and other entries
A {day} page of short entries
""")
ALMANAC_OPEN = rows("""
The almanac [comes out|is printed] every {month}, and these entries are new [this year|or
  corrected].
In the {building} of {t} stands a {cond} {furniture} with {20-90} drawers of cards; here are a few.
[Nobody|Hardly anyone] reads an almanac from beginning to end, so we [chose|copied] some entries.
A {folk} from {t} asked for short entries, and here they are.
For [a school book|the exhibition|the fair] we have put together some short entries.
These lines hang on the wall of the {building}, {near} the {furniture}.
""")
ALMANAC_END = rows("""
More entries [follow|will follow] in {month}.
The rest of the drawer was empty[|, except for a {trinket}].
Corrections are welcome [at the {building}|until {day}].
So much for today; the {drink} is getting cold.
Cut out this page and keep it in a {container}.
""")
