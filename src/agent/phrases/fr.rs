//! French wording.

use super::Phrase;

pub(super) fn text(phrase: Phrase<'_>) -> String {
    match phrase {
        Phrase::Greeting { name } => format!("Bonjour, vous êtes en relation avec {name}."),
        Phrase::MenuLine { label, key } => format!("Pour {label}, tapez {}.", key_name(key)),
        Phrase::Confirm { label } => format!(
            "Vous allez être mis en relation avec {label}. \
             Tapez 1 pour confirmer, 2 pour annuler."
        ),
        Phrase::Disclosure => "Vous parlez à un assistant automatique.".into(),
        Phrase::RecordedDisclosure => {
            "Vous parlez à un assistant automatique, et cet appel est enregistré.".into()
        }
        Phrase::MessageLine => "Pour laisser un message, tapez 9.".into(),
        Phrase::RepeatLine => "Pour réécouter ces choix, tapez étoile.".into(),
        Phrase::Handoff => "Ne quittez pas, je vous mets en relation.".into(),
        Phrase::TransferFailed => "Désolé, la mise en relation n'a pas abouti.".into(),
        Phrase::DestinationClosed => "Votre correspondant n'est pas joignable à cette heure.".into(),
        Phrase::Closed => "Personne ne peut vous répondre à cette heure.".into(),
        Phrase::LeaveMessage => "Laissez votre message après le signal sonore, puis raccrochez.".into(),
        Phrase::MessageThanks => "Merci, votre message est enregistré.".into(),
        Phrase::MessageFailed => "Désolé, votre message n'a pas pu être enregistré.".into(),
        Phrase::Goodbye => "Merci de votre appel. Au revoir.".into(),
        Phrase::DrainingGoodbye => {
            "Notre service s'interrompt quelques instants. Merci de rappeler un peu plus tard. \
             Au revoir."
                .into()
        }
        Phrase::TimeAlmostUp => "Cet appel prendra fin dans trente secondes.".into(),
        Phrase::InvalidKey => "Cette touche ne correspond à aucun choix.".into(),
        Phrase::OneMoment => "Un instant, s'il vous plaît.".into(),
        Phrase::Trouble => "Désolé, je rencontre un problème technique.".into(),
        Phrase::NothingPressed => "Je n'ai pas reçu de réponse.".into(),
    }
}

fn key_name(key: char) -> String {
    match key {
        '*' => "étoile".into(),
        '#' => "dièse".into(),
        key => key.to_string(),
    }
}
