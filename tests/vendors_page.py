"""What the vendor's page shows, byte for byte."""

SUCCESS = b"""\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE response [
<!ELEMENT response (result,result_description)>
<!ELEMENT result (#PCDATA)>
<!ELEMENT result_description (#PCDATA)>
]>
<response>
 <result>success</result>
 <result_description>[1] Message Sent</result_description>
</response>"""
