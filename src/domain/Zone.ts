/**
 * The names of time zones that this program takes: the Zones and Links of the tz database, and nothing else. The platform's own list
 * is wider and narrower at once: it takes legacy names such as BST for Asia/Dhaka, and does not list UTC or Asia/Kolkata.
 */
import { Result } from "effect"
import { nearestNames } from "./NearestName.ts"
import { refuseText, type TextProblem } from "./TextProblem.ts"
import { platformZone } from "./ZoneOffsets.ts"

/**
 * By area, from tzdata 2025b. The platform still answers with some names that its locale data froze around 2000; `old=new` is such a
 * name and its successor. No more can come, as the frozen names are frozen.
 */
const AREAS = {
  "": "CET CST6CDT Cuba EET EST EST5EDT Egypt Eire GB GB-Eire GMT GMT+0 GMT-0 GMT0 Greenwich HST Hongkong Iceland Iran Israel Jamaica Japan Kwajalein Libya MET MST MST7MDT NZ NZ-CHAT Navajo PRC PST8PDT Poland Portugal ROC ROK Singapore Turkey UCT UTC Universal W-SU WET Zulu",
  Africa:
    "Abidjan Accra Addis_Ababa Algiers Asmara Asmera=Asmara Bamako Bangui Banjul Bissau Blantyre Brazzaville Bujumbura Cairo Casablanca Ceuta Conakry Dakar Dar_es_Salaam Djibouti Douala El_Aaiun Freetown Gaborone Harare Johannesburg Juba Kampala Khartoum Kigali Kinshasa Lagos Libreville Lome Luanda Lubumbashi Lusaka Malabo Maputo Maseru Mbabane Mogadishu Monrovia Nairobi Ndjamena Niamey Nouakchott Ouagadougou Porto-Novo Sao_Tome Timbuktu Tripoli Tunis Windhoek",
  America:
    "Adak Anchorage Anguilla Antigua Araguaina Argentina/Buenos_Aires Argentina/Catamarca Argentina/ComodRivadavia Argentina/Cordoba Argentina/Jujuy Argentina/La_Rioja Argentina/Mendoza Argentina/Rio_Gallegos Argentina/Salta Argentina/San_Juan Argentina/San_Luis Argentina/Tucuman Argentina/Ushuaia Aruba Asuncion Atikokan Atka Bahia Bahia_Banderas Barbados Belem Belize Blanc-Sablon Boa_Vista Bogota Boise Buenos_Aires=Argentina/Buenos_Aires Cambridge_Bay Campo_Grande Cancun Caracas Catamarca=Argentina/Catamarca Cayenne Cayman Chicago Chihuahua Ciudad_Juarez Coral_Harbour=Atikokan Cordoba=Argentina/Cordoba Costa_Rica Coyhaique Creston Cuiaba Curacao Danmarkshavn Dawson Dawson_Creek Denver Detroit Dominica Edmonton Eirunepe El_Salvador Ensenada Fort_Nelson Fort_Wayne Fortaleza Glace_Bay Godthab=Nuuk Goose_Bay Grand_Turk Grenada Guadeloupe Guatemala Guayaquil Guyana Halifax Havana Hermosillo Indiana/Indianapolis Indiana/Knox Indiana/Marengo Indiana/Petersburg Indiana/Tell_City Indiana/Vevay Indiana/Vincennes Indiana/Winamac Indianapolis=Indiana/Indianapolis Inuvik Iqaluit Jamaica Jujuy=Argentina/Jujuy Juneau Kentucky/Louisville Kentucky/Monticello Knox_IN Kralendijk La_Paz Lima Los_Angeles Louisville=Kentucky/Louisville Lower_Princes Maceio Managua Manaus Marigot Martinique Matamoros Mazatlan Mendoza=Argentina/Mendoza Menominee Merida Metlakatla Mexico_City Miquelon Moncton Monterrey Montevideo Montreal Montserrat Nassau New_York Nipigon Nome Noronha North_Dakota/Beulah North_Dakota/Center North_Dakota/New_Salem Nuuk Ojinaga Panama Pangnirtung Paramaribo Phoenix Port-au-Prince Port_of_Spain Porto_Acre Porto_Velho Puerto_Rico Punta_Arenas Rainy_River Rankin_Inlet Recife Regina Resolute Rio_Branco Rosario Santa_Isabel Santarem Santiago Santo_Domingo Sao_Paulo Scoresbysund Shiprock Sitka St_Barthelemy St_Johns St_Kitts St_Lucia St_Thomas St_Vincent Swift_Current Tegucigalpa Thule Thunder_Bay Tijuana Toronto Tortola Vancouver Virgin Whitehorse Winnipeg Yakutat Yellowknife",
  Antarctica:
    "Casey Davis DumontDUrville Macquarie Mawson McMurdo Palmer Rothera South_Pole Syowa Troll Vostok",
  Arctic: "Longyearbyen",
  Asia: "Aden Almaty Amman Anadyr Aqtau Aqtobe Ashgabat Ashkhabad Atyrau Baghdad Bahrain Baku Bangkok Barnaul Beirut Bishkek Brunei Calcutta=Kolkata Chita Choibalsan Chongqing Chungking Colombo Dacca Damascus Dhaka Dili Dubai Dushanbe Famagusta Gaza Harbin Hebron Ho_Chi_Minh Hong_Kong Hovd Irkutsk Istanbul Jakarta Jayapura Jerusalem Kabul Kamchatka Karachi Kashgar Kathmandu Katmandu=Kathmandu Khandyga Kolkata Krasnoyarsk Kuala_Lumpur Kuching Kuwait Macao Macau Magadan Makassar Manila Muscat Nicosia Novokuznetsk Novosibirsk Omsk Oral Phnom_Penh Pontianak Pyongyang Qatar Qostanay Qyzylorda Rangoon=Yangon Riyadh Saigon=Ho_Chi_Minh Sakhalin Samarkand Seoul Shanghai Singapore Srednekolymsk Taipei Tashkent Tbilisi Tehran Tel_Aviv Thimbu Thimphu Tokyo Tomsk Ujung_Pandang Ulaanbaatar Ulan_Bator Urumqi Ust-Nera Vientiane Vladivostok Yakutsk Yangon Yekaterinburg Yerevan",
  Atlantic:
    "Azores Bermuda Canary Cape_Verde Faeroe=Faroe Faroe Jan_Mayen Madeira Reykjavik South_Georgia St_Helena Stanley",
  Australia:
    "ACT Adelaide Brisbane Broken_Hill Canberra Currie Darwin Eucla Hobart LHI Lindeman Lord_Howe Melbourne NSW North Perth Queensland South Sydney Tasmania Victoria West Yancowinna",
  Brazil: "Acre DeNoronha East West",
  Canada: "Atlantic Central Eastern Mountain Newfoundland Pacific Saskatchewan Yukon",
  Chile: "Continental EasterIsland",
  Etc: "GMT GMT+0 GMT+1 GMT+10 GMT+11 GMT+12 GMT+2 GMT+3 GMT+4 GMT+5 GMT+6 GMT+7 GMT+8 GMT+9 GMT-0 GMT-1 GMT-10 GMT-11 GMT-12 GMT-13 GMT-14 GMT-2 GMT-3 GMT-4 GMT-5 GMT-6 GMT-7 GMT-8 GMT-9 GMT0 Greenwich UCT UTC Universal Zulu",
  Europe:
    "Amsterdam Andorra Astrakhan Athens Belfast Belgrade Berlin Bratislava Brussels Bucharest Budapest Busingen Chisinau Copenhagen Dublin Gibraltar Guernsey Helsinki Isle_of_Man Istanbul Jersey Kaliningrad Kiev=Kyiv Kirov Kyiv Lisbon Ljubljana London Luxembourg Madrid Malta Mariehamn Minsk Monaco Moscow Nicosia Oslo Paris Podgorica Prague Riga Rome Samara San_Marino Sarajevo Saratov Simferopol Skopje Sofia Stockholm Tallinn Tirane Tiraspol Ulyanovsk Uzhgorod Vaduz Vatican Vienna Vilnius Volgograd Warsaw Zagreb Zaporozhye Zurich",
  Indian: "Antananarivo Chagos Christmas Cocos Comoro Kerguelen Mahe Maldives Mauritius Mayotte Reunion",
  Mexico: "BajaNorte BajaSur General",
  Pacific:
    "Apia Auckland Bougainville Chatham Chuuk Easter Efate Enderbury=Kanton Fakaofo Fiji Funafuti Galapagos Gambier Guadalcanal Guam Honolulu Johnston Kanton Kiritimati Kosrae Kwajalein Majuro Marquesas Midway Nauru Niue Norfolk Noumea Pago_Pago Palau Pitcairn Pohnpei Ponape=Pohnpei Port_Moresby Rarotonga Saipan Samoa Tahiti Tarawa Tongatapu Truk=Chuuk Wake Wallis Yap",
  US: "Alaska Aleutian Arizona Central East-Indiana Eastern Hawaii Indiana-Starke Michigan Mountain Pacific Samoa",
}

const SUCCESSORS = new Map<string, string>()

/** Every name, by its lower case. */
const NAMES = new Map<string, string>()
for (const [area, names] of Object.entries(AREAS)) {
  const prefix = area === "" ? "" : `${area}/`
  for (const entry of names.split(" ")) {
    const [name = "", successor] = entry.split("=").map((each) => `${prefix}${each}`)
    NAMES.set(name.toLowerCase(), name)
    if (successor !== undefined) SUCCESSORS.set(name, successor)
  }
}

/** What people mean by abbreviations that are no zones. Several places use some of them. */
const ABBREVIATIONS = new Map<string, ReadonlyArray<string>>([
  ["AEST", ["Australia/Brisbane", "Australia/Sydney"]],
  ["AST", ["America/Halifax", "Asia/Riyadh"]],
  ["ACT", ["America/Rio_Branco"]],
  ["BST", ["Europe/London", "Asia/Dhaka"]],
  ["CDT", ["America/Chicago"]],
  ["CEST", ["Europe/Berlin", "Europe/Paris"]],
  ["CST", ["America/Chicago", "Asia/Shanghai"]],
  ["ECT", ["America/Guayaquil", "Europe/Paris"]],
  ["EDT", ["America/New_York"]],
  ["IST", ["Asia/Kolkata", "Asia/Jerusalem", "Europe/Dublin"]],
  ["JST", ["Asia/Tokyo"]],
  ["MDT", ["America/Denver"]],
  ["PDT", ["America/Los_Angeles"]],
  ["PST", ["America/Los_Angeles", "Asia/Manila"]],
  ["SST", ["Pacific/Pago_Pago", "Asia/Singapore"]],
])

const MAX_LENGTH = 64
const MAX_NEAREST = 3

/** The current name of a zone, whatever its case and whichever of its names is given (`asia/calcutta` is `Asia/Kolkata`). */
export const parseZone = (text: string): Result.Result<string, TextProblem> => {
  const listed = text.length > MAX_LENGTH ? undefined : NAMES.get(text.toLowerCase())
  const platform = listed === undefined ? null : platformZone(listed)
  if (listed === undefined) return refuseText("there is no such time zone", null, remedyFor(text))
  // The platform's data may be older than the list, and lack its newest zones.
  return platform === null
    ? refuseText("this system's time zone data does not have it yet", null, remedyFor(text))
    : Result.succeed(SUCCESSORS.get(platform) ?? platform)
}

const remedyFor = (text: string): string => {
  const nearest = text.length > MAX_LENGTH ? [] : namesNear(text)
  return nearest.length === 0
    ? 'Give an IANA name such as "Europe/Paris" or "UTC".'
    : `The nearest are ${nearest.join(", ")}.`
}

/** A name is looked for whole; one without an area also among the places of all areas. */
const namesNear = (text: string): ReadonlyArray<string> => {
  const meant = ABBREVIATIONS.get(text.toUpperCase())
  if (meant !== undefined) return meant
  const place = text.slice(text.lastIndexOf("/") + 1)
  const whole = nearestNames(text, NAMES.values(), MAX_NEAREST)
  return whole.length > 0
    ? whole
    : nearestNames(place, NAMES.values(), MAX_NEAREST, (name) => name.slice(name.lastIndexOf("/") + 1))
}
