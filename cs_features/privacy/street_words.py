"""The words of a postal address, apart by commas, as our countries and their neighbours write them. Words only."""

PARTICLES = """
    de, du, des, la, le, les, l', d', del, dels, della, di, dos, das, da, do, van, von, der, den, ter, i, y, e, el, los,
    las, sur, aan, op, the, of, im, am, an, zum, zur, sous, en
    """
# What ends the name of a Dutch or German street.
ENDINGS = """
    straat, laan, weg, plein, gracht, kade, dijk, singel, dreef, hof, steeg, markt, lei, steenweg, baan, plantsoen,
    park, pad, ring, dam, wal, haven, straße, strasse, str., platz, allee, gasse, damm, ufer, chaussee, steig
    """
SURE_ENDINGS = "straat, laan, gracht, steenweg, plantsoen, straße, strasse, plein, dreef, singel"
# What stands before the name of one.
PREFIXES = """
    laan van, laan der, plein van, weg naar, hof van, calle, c/, c., carrer, avenida, avinguda, avda, avda., av.,
    plaza, plaça, pza, pza., paseo, passeig, pg., p.o, camino, camí, ronda, travesía, carretera, ctra., glorieta,
    rambla, urbanización, rúa, ul., ulica, ulicy, ul, al., aleja, aleje, alei, os., osiedle, osiedlu, pl., plac,
    placu, skwer, rondo, via, viale, piazza, corso, largo, vicolo, strada, rua, travessa, praça, estrada, вул.,
    вулиця, вулиці, вулицю, просп., проспект, проспекті, пров., провулок, бульвар, площа, ул., улица, rue, avenue,
    boulevard, chaussée, place, chemin, quai, drève, clos, impasse, allée
    """
SURE_PREFIXES = "calle, carrer, ul., ulica, ulicy, вул., вулиця, via, rua"
FRENCH = """
    rue, avenue, av., ave, boulevard, bd, bd., blvd, bld, place, pl., chemin, impasse, allée, quai, cours, route,
    square, passage, faubourg, chaussée, résidence, lotissement, hameau, villa, sentier
    """
ENGLISH = """
    Street, St, Road, Rd, Avenue, Ave, Lane, Ln, Drive, Close, Court, Ct, Way, Square, Terrace, Crescent, Gardens,
    Grove, Hill, Boulevard, Blvd, Place, Mews, Row, Walk
    """
TURKISH = "Mahallesi, Mah., Mah, Caddesi, Cad., Cad, Cd., Sokak, Sokağı, Sok., Sok, Sk., Sk, Bulvarı"
NUMBERS = "nr, nr., no, no., n.o, nº, num, num., núm., numero, numer, nummer, huisnummer, n, n., дім, буд., д."
FLOORS = """
    bus, bte, boîte, box, apt, apt., app., appartement, appt, flat, piso, planta, puerta, pta., esc., m., m, lok.,
    mieszkania, кв., кв, daire, d:, étage, etage, int., scala, interno, esq., dto.
    """
IN = "in, te, à, en, w, we, et, u, em, у, в, м., a"
POSTCODES = """
    postcode, post code, zip, zip code, code postal, código postal, codi postal, cp, c.p., kod pocztowy, postleitzahl,
    plz, cap, posta kodu, поштовий індекс, індекс, الرمز البريدي
    """
