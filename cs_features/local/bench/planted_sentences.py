"""What customers write around the values of `planted_values.py`, in the languages of our countries; what is innocent.

Names, addresses, dates of birth and products are invented. Written for this benchmark, and no text of anybody.
"""

# By language: the country whose values stand in it, and the sentences; `{}` is the value.
CARRIERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "nl": ("NL", ("Mijn gegevens: {} graag aanpassen.", "Het gaat om {}, dat klopt niet meer.", "{} is wat ik heb")),
    "fr": ("FR", ("Voici mes données : {} merci.", "Il s'agit de {}, qui a changé.", "Utilisez {} s'il vous plaît")),
    "es": ("ES", ("Mis datos son {}, gracias.", "Se trata de {} y ya no vale.", "Pueden usar {} siempre")),
    "pl": ("PL", ("Moje dane to {}, proszę zmienić.", "Chodzi o {} i to błąd.", "Proszę użyć {} zawsze")),
    "de": ("NL", ("Meine Daten: {} bitte ändern.", "Es geht um {}, das stimmt nicht.", "Nehmen Sie {} dafür")),
    "en": ("BE", ("My details: {} please update.", "It is about {}, which is wrong.", "Please use {} from now on")),
    "it": ("BE", ("I miei dati: {} grazie.", "Si tratta di {}, che è sbagliato.", "Usate {} per favore")),
    "pt": ("FR", ("Os meus dados: {} obrigado.", "Trata-se de {}, que mudou.", "Podem usar {} sempre")),
    "tr": ("NL", ("Bilgilerim: {} lütfen.", "Konu {}, artık geçersiz.", "Lütfen {} kullanın")),
    "uk": ("PL", ("Мої дані: {} дякую.", "Йдеться про {}, це помилка.", "Візьміть {} будь ласка")),
    "ar": ("BE", ("بياناتي: {} شكرا", "الأمر يتعلق بـ {} وهذا خطأ", "استخدموا {} من فضلكم")),
    "ca": ("ES", ("Les meves dades: {} gràcies.", "Es tracta de {} i ja no val.", "Feu servir {} sempre")),
}

# Whole values: all of what stands between the braces must be covered.
ADDRESSES: dict[str, tuple[str, ...]] = {
    "nl": (
        "Ik woon op {Keizersgracht 123-2, 1015 CJ Amsterdam}.",
        "Bezorgen op {Dorpsstraat 7a, 3511 AB Utrecht} graag",
        "Mijn adres is {Van der Helstplein 12} in de stad.",
        "Nieuw adres: {Burgemeester de Vlugtlaan 45 bus 3}",
        "het is {kerkstraat 14} hoor",
        "naar {Laan van Meerdervoort 301, 2563 AJ Den Haag}",
    ),
    "fr": (
        "J'habite au {12 bis rue de la République, 75011 Paris}.",
        "Livrez {3, avenue du Général Leclerc, 69007 Lyon} svp",
        "Mon adresse : {45 boulevard Saint-Michel}",
        "au {8 place des Vosges}, merci",
        "c'est {27 rue des lilas} désormais",
        "{Rue Neuve 14, 1000 Bruxelles} en Belgique",
    ),
    "es": (
        "Vivo en {calle Mayor 5, 3º B, 28013 Madrid}.",
        "Mi dirección es {Avda. de la Constitución 12, 41001 Sevilla}",
        "Entregar en {C/ Alcalá, 45} por favor",
        "{Plaza de España 3} es la nueva",
        "en {Paseo de Gracia 77, 08008 Barcelona} gracias",
    ),
    "pl": (
        "Mieszkam przy {ul. Marszałkowska 10/12 m. 5, 00-590 Warszawa}.",
        "Adres: {al. Jana Pawła II 23, 31-864 Kraków}",
        "Proszę wysłać na {os. Złotego Wieku 14/3}",
        "to {ulica Długa 5} od maja",
        "{pl. Wolności 2, 61-738 Poznań} to nowy adres",
    ),
    "de": (
        "Ich wohne in der {Hauptstraße 12, 10115 Berlin}.",
        "Lieferung an {Goethestr. 5a, 80336 München}",
        "Meine Adresse: {Am Markt 3, 50667 Köln}",
        "{Lindenallee 77} bitte",
    ),
    "en": (
        "I live at {221B Baker Street, London NW1 6XE}.",
        "Send it to {14 Victoria Road} please",
        "My address is {Flat 3, 27 High Street}",
        "it is {9 Oak Lane} now",
    ),
    "it": ("Abito in {Via Garibaldi 15, 20121 Milano}.", "Consegnate in {Piazza Dante 4} grazie"),
    "pt": ("Moro na {Rua das Flores 25, 1200-195 Lisboa}.", "Entregar na {Avenida da Liberdade 110} por favor"),
    "tr": ("Adresim {Atatürk Mahallesi Çiçek Sokak No: 12/3} oldu.", "{Bağdat Caddesi No 45} adresine"),
    "uk": ("Я живу: {вул. Шевченка 12, Львів}.", "Адреса {проспект Свободи 7} тепер"),
    "ar": ("أسكن في {شارع الملك فيصل 25} الآن",),
    "ca": ("Visc al {carrer de Balmes 120, 08008 Barcelona}.", "A la {plaça Catalunya 9} si us plau"),
}

NAMES: dict[str, tuple[str, ...]] = {
    "nl": ("Jan de Vries", "Fatima El Amrani", "Sanne van den Berg", "Bram Jansen"),
    "fr": ("Hélène Dupont", "Jean-Pierre Lefèvre", "Amina Benali", "Luc d'Hondt"),
    "es": ("María García López", "Íñigo Etxeberria", "Juan Pérez", "Lucía de la Fuente"),
    "pl": ("Łukasz Wiśniewski", "Małgorzata Kowalska-Nowak", "Zofia Dąbrowska", "Jan Wójcik"),
    "de": ("Jürgen Müller", "Anna von Stein", "Lena Großmann"),
    "en": ("Sarah O'Brien", "Tom McDonald", "Emily Clarke"),
    "it": ("Giulia Rossi", "Marco D'Angelo", "Luca Bianchi"),
    "pt": ("João da Silva", "Inês Gonçalves", "Rui Costa"),
    "tr": ("Ayşe Yılmaz", "Mehmet Öztürk", "Çağla Şahin"),
    "uk": ("Олена Шевченко", "Андрій Коваленко", "Юлія Бойко"),
    "ar": ("محمد العلي", "فاطمة حسن", "أحمد منصور"),
    "ca": ("Jordi Puig", "Montserrat Ferrer i Vila", "Núria Bosch"),
}
INTRODUCTIONS: dict[str, tuple[str, ...]] = {
    "nl": (
        "Goedemiddag, mijn naam is {}.",
        "U spreekt met {}, over mijn bestelling.",
        "Is mevrouw {} er?",
        "Het pakket is weg.\n\nMet vriendelijke groet,\n{}",
        "Beste {},\n\nuw pakket komt.",
        "Naam: {}",
    ),
    "fr": (
        "Bonjour, je m'appelle {}.",
        "Mon nom est {} et j'attends.",
        "Madame {} m'a répondu.",
        "Rien reçu.\n\nCordialement,\n{}",
        "Bonjour {},\n\nmerci.",
        "Nom : {}",
    ),
    "es": (
        "Hola, me llamo {}.",
        "Mi nombre es {} y espero.",
        "La señora {} me atendió.",
        "No llegó.\n\nUn saludo,\n{}",
        "Estimado {},\n\ngracias.",
        "Nombre: {}",
    ),
    "pl": (
        "Dzień dobry, nazywam się {}.",
        "Mam na imię {} i czekam.",
        "Pani {} odebrała.",
        "Nie przyszło.\n\nPozdrawiam\n{}",
        "Witam, z tej strony {}.",
        "Imię i nazwisko: {}",
    ),
    "de": (
        "Guten Tag, mein Name ist {}.",
        "Ich heiße {} und warte.",
        "Frau {} war nett.",
        "Nichts da.\n\nMit freundlichen Grüßen\n{}",
        "Lieber {},\n\ndanke.",
        "Name: {}",
    ),
    "en": (
        "Hello, my name is {}.",
        "I am {}, calling about my order.",
        "Mrs {} helped me.",
        "Still nothing.\n\nKind regards,\n{}",
        "Dear {},\n\nyour parcel comes.",
        "Name: {}",
    ),
    "it": (
        "Buongiorno, mi chiamo {}.",
        "Il mio nome è {} e aspetto.",
        "La signora {} mi ha risposto.",
        "Niente.\n\nCordiali saluti,\n{}",
    ),
    "pt": ("Bom dia, chamo-me {}.", "O meu nome é {} e espero.", "A senhora {} atendeu.", "Nada.\n\nCumprimentos,\n{}"),
    "tr": (
        "Merhaba, benim adım {}.",
        "Adım {} ve bekliyorum.",
        "Sayın {}, bekliyorum.",
        "Gelmedi.\n\nSaygılarımla,\n{}",
    ),
    "uk": ("Добрий день, мене звати {}.", "Моє ім'я {} і я чекаю.", "Пані {} відповіла.", "Нема.\n\nЗ повагою,\n{}"),
    "ar": ("مرحبا، اسمي {}", "الاسم: {}", "السيد {} أجابني"),
    "ca": (
        "Bon dia, em dic {}.",
        "El meu nom és {} i espero.",
        "La senyora {} em va atendre.",
        "Res.\n\nSalutacions,\n{}",
    ),
}

BIRTHS: dict[str, tuple[str, ...]] = {
    "nl": ("Ik ben geboren op {12-04-1967}.", "Geboortedatum: {3 maart 1985}", "mijn datum is {12.04.1967}"),
    "fr": ("Je suis née le {3 mars 1967}.", "Date de naissance : {12/04/1985}"),
    "es": ("Nací el {5 de mayo de 1971}.", "Fecha de nacimiento: {12/04/1985}"),
    "pl": ("Urodziłam się {12.04.1967}.", "Data urodzenia: {5 maja 1985}", "ur. {1967-04-12}"),
    "de": ("Ich bin am {12.04.1967} geboren.", "Geburtsdatum: {3. März 1985}"),
    "en": ("I was born on {12 April 1967}.", "Date of birth: {04/12/1985}", "DOB {1985-04-12}"),
    "it": ("Sono nata il {12 aprile 1967}.", "Data di nascita: {12/04/1985}"),
    "pt": ("Nasci em {12 de abril de 1967}.", "Data de nascimento: {12/04/1985}"),
    "tr": ("Doğum tarihim {12.04.1967}.",),
    "uk": ("Дата народження: {12.04.1967}", "Я народилася {5 травня 1985}"),
    "ar": ("تاريخ الميلاد {12/04/1985}",),
    "ca": ("Data de naixement: {12/04/1985}",),
}

INNOCENT = (
    "2026-11-20", "20.11.2026", "20/11/2026", "20 november 2026", "le 3 mars 2025", "3 de mayo de 2026",
    "5 maja 2026", "2024/2025", "2024-2026", "18:30", "18:30-19:45", "8.30", "09h45", "€ 49,99", "1.299,00 €",
    "$1,299.00", "12 345,67 zł", "€ 49.99-59.99", "1.234.567", "12.500 punten", "1 000 000 zł", "250 km", "2.500 kWh",
    "128 GB", "500 ml", "3 x 250 g", "12,5 %", "iPhone 15 Pro", "Galaxy S24 Ultra", "WH-1000XM5", "RTX 4090",
    "Windows 11", "iOS 17.2.1", "versie 2.10.3.1", "A4", "USB-C 3.2", "HP 305XL", "PlayStation 5", "5G", "4K",
    "maat 42", "XL", "room 412", "kamer 12", "tafel 7", "vlucht KL1234", "trein 2817", "spoor 5b", "error 404",
    "code 1234", "stap 3 van 5", "10-15 dagen", "24/7", "1-2-3", "week 48", "Q4 2026", "1e klas", "100.000 steps",
    "50+", "3-0", "10 / 12", "0,5 liter", "A12-knooppunt", "DDR5-6000", "EU 261/2004", "ISO 9001", "B2B", "MP3",
    "HDMI 2.1", "9,8/10", "1.000 stuks", "2x4", "tot 31.12.2026", "01/12/2026", "Black Friday", "Koningsdag", "Noël",
    "Navidad", "Wielkanoc", "Amsterdam", "Paris", "Madrid", "Warszawa", "Bruxelles", "Samsung", "Philips", "PostNL",
    "Bpost", "Correos", "Google Maps", "Netflix Premium", "Adidas Ultraboost 22", "www.winkel.example",
    "https://www.winkel.example/help", "https://winkel.example/retour/artikelen",
)  # fmt: skip
