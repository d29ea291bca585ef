"""The words of an e-mail about a voice message, by language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Wording:
    """One language; `{…}` are filled in."""

    subject: str = "Voice message from {caller}, {length}"
    unknown: str = "an unknown number"
    text: str = "{caller} left a message of {length} in mailbox {mailbox} on {date} at {time}."
    attached: str = "It is attached."
    too_large: str = "It is too long to be attached."
    kept: str = "To hear it, dial {code} at your telephone."
    kept_without_code: str = "Call your mailbox to hear it."
    deleted: str = "It is only in this e-mail: the mailbox does not keep it."
    day: str = "%Y-%m-%d"


WORDINGS: Final[Mapping[str, Wording]] = MappingProxyType(
    {
        "en": Wording(),
        "de": Wording(
            subject="Sprachnachricht von {caller}, {length}",
            unknown="einer unbekannten Nummer",
            text="Nachricht von {caller}, {length}, im Postfach {mailbox}, {date} um {time} Uhr.",
            attached="Sie ist angehängt.",
            too_large="Sie ist zu lang für einen Anhang.",
            kept="Um sie zu hören, wählen Sie {code} an Ihrem Telefon.",
            kept_without_code="Bitte rufen Sie Ihr Postfach an, um sie zu hören.",
            deleted="Sie ist nur in dieser E-Mail: das Postfach behält sie nicht.",
            day="%d.%m.%Y",
        ),
        "es": Wording(
            subject="Mensaje de voz de {caller}, {length}",
            unknown="un número desconocido",
            text="{caller} dejó un mensaje de {length} en el buzón {mailbox} el {date} a las {time}.",
            attached="Va adjunto.",
            too_large="Es demasiado largo para adjuntarlo.",
            kept="Para escucharlo, marque {code} en su teléfono.",
            kept_without_code="Llame a su buzón para escucharlo.",
            deleted="Solo está en este correo: el buzón no lo conserva.",
            day="%d/%m/%Y",
        ),
        "fr": Wording(
            subject="Message vocal de {caller}, {length}",
            unknown="un numéro inconnu",
            text="{caller} a laissé un message de {length} dans la boîte {mailbox} le {date} à {time}.",
            attached="Il est joint.",
            too_large="Il est trop long pour être joint.",
            kept="Pour l'écouter, composez le {code} sur votre téléphone.",
            kept_without_code="Appelez votre messagerie pour l'écouter.",
            deleted="Il n'est que dans ce courriel : la messagerie ne le garde pas.",
            day="%d/%m/%Y",
        ),
        "it": Wording(
            subject="Messaggio vocale da {caller}, {length}",
            unknown="un numero sconosciuto",
            text="{caller} ha lasciato un messaggio di {length} nella casella {mailbox} il {date} alle {time}.",
            attached="È allegato.",
            too_large="È troppo lungo per essere allegato.",
            kept="Per ascoltarlo, componga {code} sul Suo telefono.",
            kept_without_code="Chiami la Sua casella vocale per ascoltarlo.",
            deleted="È solo in questa e-mail: la casella non lo conserva.",
            day="%d/%m/%Y",
        ),
        "nl": Wording(
            subject="Voicemail van {caller}, {length}",
            unknown="een onbekend nummer",
            text="{caller} heeft op {date} om {time} een bericht van {length} achtergelaten in postvak {mailbox}.",
            attached="Het is bijgevoegd.",
            too_large="Het is te lang om bij te voegen.",
            kept="Kies {code} op uw telefoon om het te beluisteren.",
            kept_without_code="Bel uw postvak om het te beluisteren.",
            deleted="Het staat alleen in deze e-mail: het postvak bewaart het niet.",
            day="%d-%m-%Y",
        ),
        "pt": Wording(
            subject="Mensagem de voz de {caller}, {length}",
            unknown="um número desconhecido",
            text="{caller} deixou uma mensagem de {length} na caixa {mailbox} em {date} às {time}.",
            attached="Segue em anexo.",
            too_large="É demasiado longa para ser anexada.",
            kept="Para a ouvir, marque {code} no seu telefone.",
            kept_without_code="Ligue para a sua caixa de correio para a ouvir.",
            deleted="Está apenas neste e-mail: a caixa não a guarda.",
            day="%d/%m/%Y",
        ),
        "pl": Wording(
            subject="Wiadomość głosowa: {caller}, {length}",
            unknown="nieznany numer",
            text="{caller}: wiadomość ({length}) w skrzynce {mailbox}, {date}, godz. {time}.",
            attached="Jest w załączniku.",
            too_large="Jest za długa na załącznik.",
            kept="Aby jej wysłuchać, wybierz {code} na swoim telefonie.",
            kept_without_code="Zadzwoń do swojej skrzynki, aby jej wysłuchać.",
            deleted="Jest tylko w tej wiadomości e-mail: skrzynka jej nie przechowuje.",
            day="%d.%m.%Y",
        ),
        "sv": Wording(
            subject="Röstmeddelande från {caller}, {length}",
            unknown="ett okänt nummer",
            text="{caller} lämnade ett meddelande på {length} i brevlådan {mailbox} den {date} klockan {time}.",
            attached="Det är bifogat.",
            too_large="Det är för långt för att bifogas.",
            kept="Slå {code} på din telefon för att lyssna på det.",
            kept_without_code="Ring din brevlåda för att lyssna på det.",
            deleted="Det finns bara i detta e-brev: brevlådan sparar det inte.",
        ),
        "da": Wording(
            subject="Talebesked fra {caller}, {length}",
            unknown="et ukendt nummer",
            text="{caller} lagde en besked på {length} i postkassen {mailbox} den {date} kl. {time}.",
            attached="Den er vedhæftet.",
            too_large="Den er for lang til at blive vedhæftet.",
            kept="Tast {code} på din telefon for at høre den.",
            kept_without_code="Ring til din postkasse for at høre den.",
            deleted="Den er kun i denne e-mail: postkassen gemmer den ikke.",
            day="%d.%m.%Y",
        ),
    }
)
