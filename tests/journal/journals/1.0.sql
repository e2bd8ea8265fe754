CREATE TABLE public.dialogtech_accounts (
    account character varying(64) NOT NULL,
    extra_margin double precision NOT NULL,
    widened_until double precision NOT NULL,
    paused_until double precision NOT NULL,
    usual_latency double precision NOT NULL
);
CREATE TABLE public.dialogtech_alert_grants (
    claim character varying(32) NOT NULL,
    recipient character varying(64) NOT NULL,
    at double precision NOT NULL
);
CREATE TABLE public.dialogtech_alerts (
    key character varying(64) NOT NULL,
    claim character varying(32),
    claimed_at double precision NOT NULL,
    cooldown_ends double precision NOT NULL,
    reported integer NOT NULL,
    reported_since double precision,
    suppressed integer NOT NULL,
    suppressed_since double precision,
    message_key character varying(64) DEFAULT ''::character varying NOT NULL,
    last_suppressed character varying(32) DEFAULT ''::character varying NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    failing_since double precision,
    sent_before integer DEFAULT 0 NOT NULL,
    about character varying(64) DEFAULT ''::character varying NOT NULL,
    resolution character varying(32) DEFAULT ''::character varying NOT NULL
);
CREATE TABLE public.dialogtech_journal (
    version integer NOT NULL
);
CREATE TABLE public.dialogtech_messages (
    id integer NOT NULL,
    account character varying(64) NOT NULL,
    number character varying(64) NOT NULL,
    at double precision NOT NULL,
    state character varying(16) NOT NULL,
    key character varying(64),
    owner character varying(32) NOT NULL,
    digest character varying(64) NOT NULL,
    recipient_tail character varying(4) NOT NULL,
    detail text NOT NULL,
    deadline double precision NOT NULL,
    created double precision NOT NULL,
    updated double precision NOT NULL,
    recipient character varying(64) DEFAULT ''::character varying NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    displaced integer DEFAULT 0 NOT NULL,
    dag_id character varying(250) DEFAULT ''::character varying NOT NULL,
    run_id character varying(250) DEFAULT ''::character varying NOT NULL,
    task_id character varying(250) DEFAULT ''::character varying NOT NULL,
    map_index integer DEFAULT '-1'::integer NOT NULL
);
CREATE SEQUENCE public.dialogtech_messages_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.dialogtech_messages_id_seq OWNED BY public.dialogtech_messages.id;
ALTER TABLE ONLY public.dialogtech_messages ALTER COLUMN id SET DEFAULT nextval('public.dialogtech_messages_id_seq'::regclass);
INSERT INTO public.dialogtech_accounts VALUES ('cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 0.025, 1796047289.876267, 1796047230.876267, 0.0023363546999917166);
INSERT INTO public.dialogtech_alert_grants VALUES ('7efdd0d1b82c4706b11ee590a1490ae1', 'e7f0edcd1bd0e21797e39a07d1094b9956d80173563267f6cd816c9800461834', 1796047232.094167);
INSERT INTO public.dialogtech_alerts VALUES ('d5b57887ec89c81b7f918bc0dfad1248eef479810931610ecc4bde7c6dab7e3e', '7efdd0d1b82c4706b11ee590a1490ae1', 1796047232.094167, 1796050832.094167, 0, NULL, 1, 1796047232.136713, 'a9e699cd073b1831248af704b2380f6eb6639b010c6b0222e47d6ed85e056342', '8a0bbd8f02f94eaa849c217449d75156', 2, 1796047232.094167, 0, '3776519f1a116df9ababb0a1e7b5be16bacce2b4a33f657ad1cde10fd0c18d43', '');
INSERT INTO public.dialogtech_alerts VALUES ('76d020bf5f39baa3ff08fb7a2a4ede06d563a32c893dbbcecdc26aae9bbca114', NULL, 1796047232.138676, 1796047232.141259, 0, NULL, 1, 1796047232.138676, '41bb63d225173f9d00ac452bcbe7fd96b92d49ad1d9198da45254b7fb141f2c8', '', 1, 1796047232.138676, 0, 'b94b61b905475130bf88738d364d409a42eee403b36f6d13e7e6e13641aafd25', '');
INSERT INTO public.dialogtech_journal VALUES (100);
INSERT INTO public.dialogtech_messages VALUES (1, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'd1330ac22b8f96b91641cba3820774edee21b5ab441fd2942ad084d108a28fe2', 1796047228.7606676, 'sent', 'e312c4f55ddc571c6eb58591c8f72ca55cdd931d0a72d4c2696c011a13227a01', '0e78cab1e69147829b3d4557fa95c705', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{"status": "sent", "result": "success", "result_description": "[1] Message Sent", "xml": "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<response><result>success</result><result_description>[1] Message Sent</result_description></response>", "to": "\u20267777", "from": "\u20262111", "segments": 1, "encoding": "GSM-7", "sent_at": "2026-11-30T14:00:28.761+00:00", "waited_seconds": 0.094, "attempts": 1}', 1796047258.7606676, 1796047228.72434, 1796047228.766574, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
INSERT INTO public.dialogtech_messages VALUES (2, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'ed5b72d17ce028366ad09dc8c09219f8814cfb8b216da2d525593a552c175b26', 1796047228.7937074, 'refused', '7d6913c66ff478bf7c934c26bddd17b72415f32bedb598c634631839c30314ac', '8c4f39e823b744f0bb9dfe32d784c2db', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{"result_description": "Invalid number"}', 1796047258.7937074, 1796047228.76906, 1796047228.771293, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
INSERT INTO public.dialogtech_messages VALUES (7, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'd1330ac22b8f96b91641cba3820774edee21b5ab441fd2942ad084d108a28fe2', 1796047232.1303933, 'sent', 'a9e699cd073b1831248af704b2380f6eb6639b010c6b0222e47d6ed85e056342', '0d670775c1e64e10ae0a1e2670cfa744', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{"status": "sent", "result": "success", "result_description": "[1] Message Sent", "xml": "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<response><result>success</result><result_description>[1] Message Sent</result_description></response>", "to": "\u20267777", "from": "\u20262111", "segments": 1, "encoding": "GSM-7", "sent_at": "2026-11-30T14:00:32.130+00:00", "waited_seconds": 0.035, "attempts": 1}', 1796047262.1303933, 1796047232.095795, 1796047232.133176, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
INSERT INTO public.dialogtech_messages VALUES (3, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'd1330ac22b8f96b91641cba3820774edee21b5ab441fd2942ad084d108a28fe2', 1796047229.897423, 'throttled', 'a7ab33c6b91a8795562457d2e0a45a2021e9cd9a8f5580b294faebea586e6461', '7c7dc8650be14f58a5a4ea1f58b75491', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1796047259.897423, 1796047229.873142, 1796047229.876267, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
INSERT INTO public.dialogtech_messages VALUES (4, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'ed5b72d17ce028366ad09dc8c09219f8814cfb8b216da2d525593a552c175b26', 1796047231.002711, 'in_doubt', 'e6ac01b45588dbb470946cbaef46312cfdb669d4d2d1b90f51f5f3e2be8923e7', 'aaae724a244649bbaee1acfec322c6f6', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1796047261.002711, 1796047230.978658, 1796047230.982083, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
INSERT INTO public.dialogtech_messages VALUES (5, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'd1330ac22b8f96b91641cba3820774edee21b5ab441fd2942ad084d108a28fe2', 1796047232.10832, 'sending', 'c5dda5f99ed53f536a9a84a52804829ebe1ebc5a51577004ccdbcddd3f97da0b', '7a3cfd9717b844b29e052acff267e935', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1796047262.10832, 1796047232.084423, 1796047232.086831, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
INSERT INTO public.dialogtech_messages VALUES (6, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'ed5b72d17ce028366ad09dc8c09219f8814cfb8b216da2d525593a552c175b26', 1796047232.111914, 'reserved', 'c0574a1d6685dc14660c0aa74ce7a8e503f67b0faa551eca6fbc55c782694278', 'd1ba08341fe64022b4ecad287894a383', '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1796047232.111914, 1796047232.088142, 1796047232.088142, 'c69540ebd97381199e67fff8e2a8414044dda35d8abf6f0e95c118299e6e24ab', 0, 0, '', '', '', -1);
ALTER TABLE ONLY public.dialogtech_accounts
    ADD CONSTRAINT dialogtech_accounts_pkey PRIMARY KEY (account);
ALTER TABLE ONLY public.dialogtech_alert_grants
    ADD CONSTRAINT dialogtech_alert_grants_pkey PRIMARY KEY (claim);
ALTER TABLE ONLY public.dialogtech_alerts
    ADD CONSTRAINT dialogtech_alerts_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.dialogtech_messages
    ADD CONSTRAINT dialogtech_messages_key_key UNIQUE (key);
ALTER TABLE ONLY public.dialogtech_messages
    ADD CONSTRAINT dialogtech_messages_pkey PRIMARY KEY (id);
CREATE INDEX dialogtech_alert_grants_recipient_at ON public.dialogtech_alert_grants USING btree (recipient, at);
CREATE INDEX dialogtech_messages_account_at ON public.dialogtech_messages USING btree (account, at);
CREATE INDEX dialogtech_messages_at ON public.dialogtech_messages USING btree (at);
SELECT pg_catalog.setval('public.dialogtech_messages_id_seq', 7, true);
