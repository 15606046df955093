"""The words beside which people name somebody, as they are written in English, Dutch, French, Spanish, Catalan, Polish,
German, Italian, Portuguese, Turkish, Ukrainian and Arabic.

Words only, apart by commas; how a name is taken from what follows them stands in `names.py`.
"""

# What follows is a name, in capitals or not.
INTRODUCTIONS = """
    my name is, my name's, name is, the name's, the name is, full name is, first name is, last name is, surname is,
    mijn naam is, m'n naam is, naam is, ik heet, u spreekt met, je spreekt met, voornaam is, achternaam is, je
    m'appelle, mon nom est, mon nom de famille est, mon prénom est, je me nomme, me llamo, mi nombre es, mi nombre
    completo es, mi apellido es, mis apellidos son, le habla, em dic, el meu nom és, nazywam się, mam na imię, moje
    imię to, moje nazwisko to, nazwisko to, ich heiße, ich heisse, mein name ist, mein name lautet, mein nachname
    ist, mein vorname ist, mi chiamo, il mio nome è, il mio cognome è, chamo-me, me chamo, meu nome é, o meu nome é,
    o meu apelido é, benim adım, adım soyadım, adım, ismim, benim ismim, мене звати, мене звуть, sóc en, soc en, sóc
    la, soc la, моє ім'я, моє прізвище, меня зовут, اسمي, اسمي هو, السيد, السيدة, الأستاذ, الأستاذة, الدكتور,
    الدكتورة, إسمي, الاسم
    """

# What follows is a name if it is written like one, and no adjective or trade.
WEAK_INTRODUCTIONS = """
    i am, i'm, this is, it's, speaking to, speaking with, spoke with, spoke to, talked to, called, named, on behalf
    of, ik ben, u spreekt weer met, met, spreek ik met, gesproken met, namens, genaamd, je suis, ici, de la part de,
    au nom de, c'est, nommé, nommée, soy, habla, con, en nombre de, de parte de, llamado, llamada, sóc, soc, parlo
    amb, de part de, jestem, z tej strony, tu, w imieniu, o imieniu, z poważaniem, ich bin, hier ist, hier spricht,
    im namen von, mit, sono, parla, per conto di, sou o, sou a, sou, fala o, fala a, em nome de, ben, ben de, це,
    говорить, від імені, я, أنا, معك, معكم
    """

LABELS = """
    name, full name, first name, last name, surname, naam, voornaam, achternaam, nom, prénom, nom de famille, nom et
    prénom, nombre, nombre y apellidos, apellido, apellidos, nom i cognoms, cognoms, imię, nazwisko, imię i
    nazwisko, nachname, vorname, nome, cognome, nome e cognome, apelido, nome completo, ad, soyad, ad soyad, adı
    soyadı, ім'я, прізвище, ПІБ, الاسم, الاسم الكامل, customer, klant, client, cliente, klient, kunde, contact,
    t.a.v., attn, account holder, rekeninghouder, titulaire, titular, titular de la cuenta, posiadacz, kontoinhaber,
    intestatario, hesap sahibi, geadresseerde, odbiorca, destinataire, destinatario
    """

TITLES = """
    my wife, my husband, my son, my daughter, my mother, my father, mijn vrouw, mijn man, mijn zoon, mijn dochter,
    ma femme, mon mari, mon fils, ma fille, mi mujer, mi marido, mi hijo, mi hija, moja żona, mój mąż, mój syn, moja
    córka, meine frau, mein mann, mein sohn, meine tochter, mia moglie, mio marito, minha mulher, meu marido, mr,
    mr., mrs, mrs., ms, ms., miss, mister, madam, dr, dr., dr ., doctor, prof, prof., professor, sir, lady, dhr,
    dhr., de heer, meneer, mevrouw, mevr, mevr., mw, mw., mej., fam., familie, dokter, m., mme, mme., mlle,
    monsieur, madame, mademoiselle, docteur, maître, maitre, me, sr, sr., sra, sra., srta., señor, señora, señorita,
    don, doña, dña., doctora, senyor, senyora, pan, pani, panu, pana, panią, panem, państwo, państwu, państwa,
    doktor, doktora, mgr, inż., lek., herr, herrn, frau, fräulein, signor, signora, signore, sig., sig.ra, dott.,
    dott.ssa, dottor, dottoressa, senhor, senhora, dona, bay, bayan, sayın, пан, пані, пана, господин, госпожа,
    лікар, السيد, السيدة, الأستاذ, الأستاذة, الدكتور, الدكتورة
    """

CLOSINGS = """
    kind regards, best regards, warm regards, regards, many thanks, thanks, thank you, sincerely, yours sincerely,
    yours faithfully, yours truly, best wishes, best, cheers, respectfully, met vriendelijke groet, met vriendelijke
    groeten, vriendelijke groet, vriendelijke groeten, hartelijke groeten, hartelijke groet, groeten, groetjes,
    groet, mvg, m.v.g., met hoogachting, hoogachtend, alvast bedankt, bedankt, dank u, gr, gr., grtz, cordialement,
    bien cordialement, bien à vous, salutations, sincères salutations, bonne journée, merci, merci d'avance, cdlt,
    respectueusement, amicalement, veuillez agréer mes salutations distinguées, salutations distinguées, un saludo,
    saludos, saludos cordiales, atentamente, un cordial saludo, cordialmente, gracias, muchas gracias, reciba un
    cordial saludo, salutacions, atentament, cordialment, gràcies, una abraçada, un abrazo, pozdrawiam,
    pozdrowienia, z poważaniem, z pozdrowieniami, serdecznie pozdrawiam, pozdrawiam serdecznie, dziękuję, z wyrazami
    szacunku, mit freundlichen grüßen, mit freundlichen gruessen, freundliche grüße, viele grüße, liebe grüße, beste
    grüße, mfg, lg, vg, gruß, danke, hochachtungsvoll, cordiali saluti, distinti saluti, saluti, grazie, un cordiale
    saluto, cumprimentos, com os melhores cumprimentos, melhores cumprimentos, atenciosamente, obrigado, obrigada,
    saygılarımla, saygılar, teşekkürler, iyi günler, iyi çalışmalar, з повагою, дякую, з найкращими побажаннями, с
    уважением, مع التحية, مع خالص التحية, تحياتي, شكرا, مع أطيب التحيات
    """

GREETINGS = """
    hello, hi, dear, hey, good morning, good afternoon, good evening, thanks, thank you, beste, geachte, hallo, hoi,
    dag, lieve, goedemorgen, goedemiddag, bedankt, dank je, bonjour, cher, chère, salut, bonsoir, merci, hola,
    estimado, estimada, querido, querida, buenos días, gracias, benvolgut, benvolguda, cześć, witam, witaj,
    szanowny, szanowna, drogi, droga, dzień dobry, lieber, liebe, guten tag, servus, danke, caro, cara, ciao,
    gentile, buongiorno, olá, prezado, prezada, bom dia, merhaba, sevgili, selam, привіт, доброго дня, вітаю,
    шановний, шановна, مرحبا, عزيزي, عزيزتي
    """

# "What is your name?": the whole of a short answer is one. Patterns.
QUESTIONS = r"""
    your (?:full |first |last )?(?:name|surname), who am i (?:speaking|talking|chatting), uw (?:volledige
    |voor|achter)?naam, je (?:volledige |voor|achter)?naam, met wie spreek, votre (?:nom|prénom), à qui ai-je, su
    (?:nombre|apellido), tu nombre, con quién hablo, el seu nom, imię i nazwisko, pana? (?:imię|nazwisko), pani
    (?:imię|nazwisko), jak się (?:pan|pani) nazywa, ihr(?:en)? (?:vollständige[rn]? )?name[n]?, il suo nome, seu
    nome, adınız, isminiz, ваше ім'я, як вас звати, ваше прізвище, اسمك, ما اسم
    """

# Words that may follow those above, in capitals too, and name nobody.
NO_NAMES = """
    yeah, yep, nope, nah, correct, great, good, nice, cool, perfect, alright, right, sorry, wait, let, could, would,
    can, may, oh, bye, crystal, what's, that's, it's, i'm, i'll, i'd, don't, bmw, honda, toyota, mercedes, dr, mr,
    mrs, ms, prof, sms, nfz, faq, pdf, usb, really, definitely, actually, never, always, maybe, probably,
    absolutely, currently, unfortunately, trying, looking, a, an, and, are, as, at, be, but, by, did, do, for, from,
    get, had, has, have, he, her, here, him, his, how, i, if, in, is, it, its, just, me, my, no, not, of, on, or,
    our, out, she, so, some, still, sure, thanks, thank, that, the, their, them, then, there, they, this, to, too,
    up, us, very, was, we, well, what, when, where, which, who, why, will, with, yes, you, your, yours, all,
    everyone, everybody, again, also, now, today, tomorrow, customer, client, customers, team, support, service,
    sir, madam, madame, monsieur, ladies, gentlemen, guest, member, user, friend, agent, manager, company, shop,
    store, dutch, english, french, german, spanish, polish, belgian, italian, turkish, arabic, american, british,
    european, monday, tuesday, wednesday, thursday, friday, saturday, sunday, january, february, march, april, june,
    july, august, september, october, november, december, klant, klanten, klantenservice, heer, mevrouw, meneer,
    allemaal, iedereen, collega, medewerker, redactie, webshop, mensen, hulp, je, jij, u, uw, mijn, dat, dit, die,
    het, een, de, en, maar, niet, wel, geen, heel, erg, zeer, veel, voor, van, met, naar, bij, om, op, aan, uit,
    hier, er, nu, nog, al, ook, dan, als, want, dus, wat, wie, waar, wanneer, hoe, ben, vriendelijke, vriendelijk,
    groet, groeten, hartelijke, maandag, dinsdag, woensdag, donderdag, vrijdag, zaterdag, zondag, clients, cliente,
    équipe, tous, toutes, messieurs, mesdames, tu, il, elle, nous, vous, ils, le, la, les, un, une, des, du, et, ou,
    mais, pas, plus, très, votre, vos, mon, ma, mes, son, sa, ses, pour, par, avec, sans, dans, sur, que, qui, quoi,
    quand, comment, bien, merci, bonjour, lundi, mardi, mercredi, jeudi, vendredi, samedi, dimanche, señor, señora,
    señores, equipo, servicio, atención, usted, ustedes, yo, tú, él, ella, el, los, las, una, y, o, pero, sí, muy,
    más, mi, mis, su, sus, con, sin, para, por, quién, cuándo, cómo, dónde, hola, gracias, buenos, buenas, días,
    tardes, noches, lunes, martes, miércoles, jueves, viernes, sábado, domingo, todos, todas, amigos, pan, pani,
    państwo, państwu, państwa, panu, pana, panie, klient, klienci, zespół, obsługa, ja, ty, ona, wy, oni, ale, nie,
    tak, bardzo, w, z, na, od, po, za, przed, przy, że, jak, co, kto, gdy, kiedy, gdzie, dlaczego, dzień, dobry,
    dziękuję, proszę, wszyscy, wszystkim, doktor, doktora, doktorze, profesor, profesora, profesorze, bóg, boże,
    jezus, kierownik, kierowniczka, dyrektor, dyrektorka, prezes, ordynator, rehabilitant, recepcjonistka,
    pielęgniarka, pielęgniarki, położna, ginekolog, stomatolog, dentysta, lekarz, lekarka, herr, frau, damen,
    herren, kunde, kunden, kundin, kundenservice, alle, zusammen, ich, sie, es, wir, ihr, und, oder, aber, nicht,
    sehr, mehr, mein, meine, dein, seine, mit, ohne, für, von, zu, bei, auf, im, am, um, wer, wann, wo, warum, nein,
    student, studentin, rentner, rentnerin, mitarbeiter, mitarbeiterin, signore, signora, gentile, servizio,
    assistenza, senhor, senhora, equipa, tutti, müşteri, hizmetleri, ekip, bey, hanım, efendim, пан, пані, клієнт,
    команда, служба, всі, я, ти, він, вона, ми, ви, вони, і, й, та, але, не, дуже, у, в, на, до, від, за, що, як,
    хто, коли, де, це, عميل, فريق, خدمة, العملاء, سيدي, سيدتي, الجميع, من, في, على, إلى, عن, مع, هذا, هذه, و, لا,
    نعم, أريد, لدي, عندي, ok, okay, hi, hello, hey, dear, morning, afternoon, evening, night, please, god, jesus,
    christ, internet, wifi, amazon, google, apple, samsung, android, windows, iphone, asap, goodbye, flight, hotel, inn,
    lyft, uber, tesla, corolla, ugh, polecam, kurs
    """
# Of those the ones that people are called, too: where somebody says that a name comes, they are one.
ALSO_NAMES = "april, june, may, will, august, mercedes, domingo"
