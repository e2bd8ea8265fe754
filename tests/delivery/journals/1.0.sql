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
    claimed double precision NOT NULL,
    silent_until double precision NOT NULL,
    carried integer NOT NULL,
    carried_since double precision,
    more integer NOT NULL,
    more_since double precision
);
CREATE TABLE public.dialogtech_sends (
    id integer NOT NULL,
    account character varying(64) NOT NULL,
    number character varying(64) NOT NULL,
    at double precision NOT NULL,
    state character varying(16) NOT NULL,
    key character varying(64),
    owner character varying(32) NOT NULL,
    attempt integer NOT NULL,
    digest character varying(64) NOT NULL,
    recipient_tail character varying(4) NOT NULL,
    detail text NOT NULL,
    deadline double precision NOT NULL,
    created double precision NOT NULL,
    updated double precision NOT NULL
);
CREATE SEQUENCE public.dialogtech_sends_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.dialogtech_sends_id_seq OWNED BY public.dialogtech_sends.id;
ALTER TABLE ONLY public.dialogtech_sends ALTER COLUMN id SET DEFAULT nextval('public.dialogtech_sends_id_seq'::regclass);
INSERT INTO public.dialogtech_accounts VALUES ('cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 0.025, 1795489758.773085, 1795489699.773085, 0.0023862098993959083);
INSERT INTO public.dialogtech_alert_grants VALUES ('cc37bdd456834697bb5b8db122fa6ea0', 'e7f0edcd1bd0e21797e39a07d1094b9956d80173563267f6cd816c9800461834', 1795489701.095783);
INSERT INTO public.dialogtech_alerts VALUES ('d5b57887ec89c81b7f918bc0dfad1248eef479810931610ecc4bde7c6dab7e3e', 'cc37bdd456834697bb5b8db122fa6ea0', 1795489701.095783, 1795493301.095783, 0, NULL, 1, 1795489701.213633);
INSERT INTO public.dialogtech_alerts VALUES ('76d020bf5f39baa3ff08fb7a2a4ede06d563a32c893dbbcecdc26aae9bbca114', NULL, 1795489701.217808, 1795489701.222861, 0, NULL, 1, 1795489701.217808);
INSERT INTO public.dialogtech_sends VALUES (1, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'd1330ac22b8f96b91641cba3820774edee21b5ab441fd2942ad084d108a28fe2', 1795489697.549255, 'sent', 'e312c4f55ddc571c6eb58591c8f72ca55cdd931d0a72d4c2696c011a13227a01', 'd1d9c6f6f1a743dca054c0e8ca457b50', 1, '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{"status": "sent", "result": "success", "result_description": "[1] Message Sent", "xml": "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE response [\n<!ELEMENT response (result,result_description)>\n<!ELEMENT result (#PCDATA)>\n<!ELEMENT result_description (#PCDATA)>\n]>\n<response>\n <result>success</result>\n <result_description>[1] Message Sent</result_description>\n</response>", "to": "\u20267777", "from": "\u20262111", "segments": 1, "encoding": "GSM-7", "sent_at": "2026-11-24T03:08:17.549+00:00", "waited_seconds": 0.226, "attempts": 1}', 1795489727.549255, 1795489697.449255, 1795489697.552725);
INSERT INTO public.dialogtech_sends VALUES (2, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'ed5b72d17ce028366ad09dc8c09219f8814cfb8b216da2d525593a552c175b26', 1795489697.656724, 'refused', '7d6913c66ff478bf7c934c26bddd17b72415f32bedb598c634631839c30314ac', 'owner of refused', 1, '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{"result_description": "Invalid number"}', 1795489727.656724, 1795489697.556724, 1795489697.611478);
INSERT INTO public.dialogtech_sends VALUES (3, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'd1330ac22b8f96b91641cba3820774edee21b5ab441fd2942ad084d108a28fe2', 1795489698.8160539, 'throttled', 'a7ab33c6b91a8795562457d2e0a45a2021e9cd9a8f5580b294faebea586e6461', 'owner of throttled', 1, '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1795489728.8160539, 1795489698.716054, 1795489698.773085);
INSERT INTO public.dialogtech_sends VALUES (4, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'ed5b72d17ce028366ad09dc8c09219f8814cfb8b216da2d525593a552c175b26', 1795489699.9775598, 'in_doubt', 'e6ac01b45588dbb470946cbaef46312cfdb669d4d2d1b90f51f5f3e2be8923e7', 'owner of in_doubt', 1, '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1795489729.9775598, 1795489699.87756, 1795489699.932288);
INSERT INTO public.dialogtech_sends VALUES (5, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'd1330ac22b8f96b91641cba3820774edee21b5ab441fd2942ad084d108a28fe2', 1795489701.1364808, 'sending', 'c5dda5f99ed53f536a9a84a52804829ebe1ebc5a51577004ccdbcddd3f97da0b', 'owner of sending', 1, '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1795489731.1364808, 1795489701.036481, 1795489701.088132);
INSERT INTO public.dialogtech_sends VALUES (6, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'ed5b72d17ce028366ad09dc8c09219f8814cfb8b216da2d525593a552c175b26', 1795489701.191911, 'reserved', 'c0574a1d6685dc14660c0aa74ce7a8e503f67b0faa551eca6fbc55c782694278', 'owner of reserved', 1, '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{}', 1795489701.191911, 1795489701.091911, 1795489701.091911);
INSERT INTO public.dialogtech_sends VALUES (7, 'cff45ef761046fff10cd645003b8fe85bfdbdd8465c225e83cc180e2b52d4395', 'd1330ac22b8f96b91641cba3820774edee21b5ab441fd2942ad084d108a28fe2', 1795489701.203991, 'sent', '273a33e3b8a6f14d5dbfaaac750e354a872262923ebf36266c879f5c7fe5e7d7', 'e14bb20c278b45b09817bdc0cc0a2371', 1, '90e30f961ca4686a3686e91bd97179b6af133d8b7a4b11da6ed40c41be1e3765', '7777', '{"status": "sent", "result": "success", "result_description": "[1] Message Sent", "xml": "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE response [\n<!ELEMENT response (result,result_description)>\n<!ELEMENT result (#PCDATA)>\n<!ELEMENT result_description (#PCDATA)>\n]>\n<response>\n <result>success</result>\n <result_description>[1] Message Sent</result_description>\n</response>", "to": "\u20267777", "from": "\u20262111", "segments": 1, "encoding": "GSM-7", "sent_at": "2026-11-24T03:08:21.204+00:00", "waited_seconds": 0.101, "attempts": 1}', 1795489731.203991, 1795489701.103991, 1795489701.209074);
ALTER TABLE ONLY public.dialogtech_accounts
    ADD CONSTRAINT dialogtech_accounts_pkey PRIMARY KEY (account);
ALTER TABLE ONLY public.dialogtech_alert_grants
    ADD CONSTRAINT dialogtech_alert_grants_pkey PRIMARY KEY (claim);
ALTER TABLE ONLY public.dialogtech_alerts
    ADD CONSTRAINT dialogtech_alerts_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.dialogtech_sends
    ADD CONSTRAINT dialogtech_sends_key_key UNIQUE (key);
ALTER TABLE ONLY public.dialogtech_sends
    ADD CONSTRAINT dialogtech_sends_pkey PRIMARY KEY (id);
CREATE INDEX dialogtech_alert_grants_recipient_at ON public.dialogtech_alert_grants USING btree (recipient, at);
CREATE INDEX dialogtech_sends_account_at ON public.dialogtech_sends USING btree (account, at);
CREATE INDEX dialogtech_sends_at ON public.dialogtech_sends USING btree (at);
SELECT pg_catalog.setval('public.dialogtech_sends_id_seq', 7, true);
